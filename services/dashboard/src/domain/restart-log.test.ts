import { RestartLog } from './restart-log';

describe('RestartLog', () => {
  it('counts another process under the same name, for a minute', () => {
    const log = new RestartLog();
    const counts = [
      log.see('policy/0', 1, 0),
      log.see('policy/1', 5, 0),
      log.see('policy/0', 2, 1_000),
      log.see('policy/0', 2, 2_000),
      log.see('policy/0', 3, 30_000),
      log.see('policy/0', 3, 61_500),
      log.see('policy/0', 3, 95_000),
      log.see('policy/1', 5, 95_000),
    ];
    expect(counts).toEqual([0, 0, 1, 1, 2, 1, 0, 0]);
  });
});
