import { TorchWork } from './torch-work';

describe('TorchWork', () => {
  it('divides the time of the first rank, also within a step, and counts its tokens', () => {
    let now = 0;
    const work = new TorchWork(() => now);
    const at = (ms: number, ...lines: string[]): void => {
      now = ms;
      for (const line of lines) work.hear(line);
    };
    at(10, 'ready', 'waits/batch');
    at(30, 'busy');
    now = 70;
    expect(work.totals()).toEqual({ idleMs: 10, 'waits/batchMs': 20, busyMs: 40, tokens: 0 });
    at(80, 'trained 12', 'waits/batch');
    at(85, 'busy');
    at(90, 'trained 3', 'waits/batch', 'trained more');
    now = 100;
    expect(work.totals()).toEqual({ idleMs: 10, 'waits/batchMs': 35, busyMs: 55, tokens: 15 });
  });
});
