import type { RunSituation } from './run-situation';
import { Watchdog } from './watchdog';

const STALL_MS = 10_000;

const ledgerOf = (admitted: number) => ({
  ...{ admitted, inFlight: 0, buffered: 0, leased: 8, trained: 0 },
  discarded: {},
  isBalanced: true,
});

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
    work: { generatedTokens: 0, microBatches: null },
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
    await at(12_000, { isPaused: true, nextBatch: 3, ledger: ledgerOf(8) });
    await at(22_000);
    const said = ['a trainer to be ready: batch 3 is formed', 'forge unpause: admission is paused'];
    expect(told).toEqual([said[0], null, said[1]]);
    const [first, second] = said.map((what) => `the run waits for ${what}`);
    expect(logged).toEqual([first, 'the run goes on', second]);
  });

  it('gives a service that has come back its time', async () => {
    const { at, told } = watched();
    await at(0);
    await at(10_000);
    await at(30_000, { ready: { trainer: 1 } });
    await at(59_999);
    const missing = 'a trainer to be ready: batch 3 is formed';
    expect(told).toEqual([missing, null]);
    // The step took 30 s until then, and may take as long once more.
    await at(60_000);
    expect(told).toEqual([missing, null, 'the trainer to train and commit batch 3']);
  });

  const trained = (done: number) => ({ work: { generatedTokens: 0, microBatches: { done, of: 8 } } });
  const working = { ready: { trainer: 1 } };

  it('is silent while micro-batches or tokens come, however slowly for the limit', async () => {
    const { at, told } = watched();
    await at(0, working);
    for (const done of [1, 2, 3]) await at(done * 9_000, trained(done));
    for (const n of [1, 2, 3])
      await at(27_000 + n * 9_000, { work: { generatedTokens: n, microBatches: { done: 3, of: 8 } } });
    expect(told).toEqual([]);
  });

  it('calls no stall what lasts as long as the pace of the step lets expect', async () => {
    const { at, told } = watched();
    await at(0, { ...working, nextBatch: 3 });
    // A step that took 40 s until its batch was formed may need as long for its first micro-batch.
    for (let ms = 8_000; ms <= 40_000; ms += 8_000) await at(ms, { ledger: ledgerOf(ms) });
    await at(40_001, { nextBatch: 4 });
    await at(79_000);
    expect(told).toEqual([]);
    // Micro-batches take 20 s each: up to a minute is no stall.
    await at(60_001, trained(1));
    await at(80_001, trained(2));
    for (let ms = 81_000; ms < 120_000; ms += 1_000) await at(ms);
    expect(told).toEqual([]);
  });

  it('says that a slow run waits once it is silent for clearly longer than its pace', async () => {
    const { at, told } = watched();
    await at(0, { ...working, nextBatch: 3 });
    await at(9_000, { nextBatch: 4 });
    await at(14_000, trained(1));
    await at(20_000, trained(2));
    await at(37_999);
    expect(told).toEqual([]);
    // 6 s was the longest silence; three times as much is clearly longer.
    await at(38_000);
    expect(told).toEqual(['the trainer to train and commit batch 3']);
  });

  it('waits no longer than the limit for what is missing, whatever the pace was', async () => {
    const { at, told } = watched();
    await at(0, working);
    await at(9_000, trained(1));
    await at(10_000, { ready: { trainer: 0 } });
    await at(19_000);
    expect(told).toEqual(['a trainer to be ready: batch 3 is formed']);
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
