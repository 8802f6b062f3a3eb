import type { RunSituation } from './run-situation';
import { Watchdog } from './watchdog';

const STALL_MS = 10_000;

function watched() {
  let nowMs = 0;
  let situation: RunSituation = {
    phase: 'running',
    isPaused: false,
    version: 3,
    nextBatch: 4,
    ledger: { admitted: 8, inFlight: 0, buffered: 0, leased: 8, trained: 0, discarded: {}, isBalanced: true },
    candidatesPerBatch: 8,
    jobs: { waiting: 0, active: 0, delayed: 0 },
    held: 0,
    services: ['trainer'],
    ready: { trainer: 0 },
    isModelSaved: false,
  };
  const told: (string | null)[] = [];
  const logged: string[] = [];
  let answers = (): Promise<RunSituation> => Promise.resolve(situation);
  const watchdog = new Watchdog({
    runState: { setWaitingFor: (what) => Promise.resolve(void told.push(what)) },
    look: () => answers(),
    stallMs: STALL_MS,
    clock: () => nowMs,
    logger: {
      info: (text: string) => logged.push(text),
      warn: (_: object, text: string) => logged.push(text),
    } as never,
  });
  const at = async (ms: number, changes: Partial<RunSituation> = {}): Promise<void> => {
    nowMs = ms;
    situation = { ...situation, ...changes };
    await watchdog.turn();
  };
  return { at, told, logged, silence: () => (answers = () => new Promise(() => undefined)) };
}

describe('Watchdog', () => {
  it('is silent while something changes', async () => {
    const { at, told } = watched();
    for (const step of [0, 1, 2, 3]) await at(step * 9_999, { version: 3 + step });
    expect(told).toEqual([]);
  });

  it('says once what a run waits for, again when that changes, and that it goes on', async () => {
    const { at, told, logged } = watched();
    await at(0);
    await at(9_999);
    expect(told).toEqual([]);
    await at(10_000);
    await at(11_000);
    await at(12_000, { ready: { trainer: 1 } });
    await at(13_000, { version: 4 });
    const said = ['a trainer to be ready: batch 3 is formed', 'the trainer to train and commit batch 3'];
    expect(told).toEqual([...said, null]);
    expect(logged).toEqual([...said.map((what) => `the run waits for ${what}`), 'the run goes on']);
  });

  it('logs that it waits for a Redis that does not answer', async () => {
    const { at, told, logged, silence } = watched();
    await at(0);
    silence();
    await at(10_000);
    expect(logged).toEqual(['the run waits for Redis, which does not answer']);
    expect(told).toEqual([]);
  });
});
