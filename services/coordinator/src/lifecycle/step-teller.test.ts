import type { StepProgress } from '@forge/contracts';
import type { RunSituation } from './run-situation';
import { StepTeller } from './step-teller';

const situation: RunSituation = {
  phase: 'running',
  isPaused: false,
  version: 2,
  nextBatch: 2,
  ledger: { admitted: 8, inFlight: 5, buffered: 3, leased: 0, trained: 0, discarded: {}, isBalanced: true },
  candidatesPerBatch: 8,
  jobs: { waiting: 0, active: 5, delayed: 0 },
  held: 0,
  services: [],
  ready: {},
  isModelSaved: false,
  work: { generatedTokens: 900, microBatches: null },
};

function telling() {
  let nowMs = 0;
  const told: StepProgress[] = [];
  const teller = new StepTeller({
    runState: { setProgress: (progress) => Promise.resolve(void told.push(progress)) },
    reported: { tokens: 40 },
    tokensPerBatch: 400,
    clock: () => nowMs,
  });
  const at = (ms: number, changes: Partial<RunSituation> = {}) => {
    nowMs = ms;
    return teller.turn({ ...situation, ...changes });
  };
  return { at, told };
}

describe('StepTeller', () => {
  it('tells of rollouts until the batch is formed, then of micro-batches', async () => {
    const { at, told } = telling();
    await at(0);
    const work = { generatedTokens: 900, microBatches: { done: 1, of: 4 } };
    await at(1_000, { nextBatch: 3, ledger: { ...situation.ledger, buffered: 0, leased: 4 }, work });
    expect(told).toEqual([
      {
        ...{ step: 3, stage: 'rollouts', groups: { done: 3, of: 8 }, tokens: { done: 40, atMost: 400 } },
        ...{ microBatches: null, elapsedMs: 0, expectedMs: null },
      },
      {
        ...{ step: 3, stage: 'training', groups: { done: 8, of: 8 }, tokens: { done: 40, atMost: 400 } },
        ...{ microBatches: { done: 1, of: 4 }, elapsedMs: 1_000, expectedMs: null },
      },
    ]);
  });

  it('is rarely heard while nothing moves, and not at all once the run stops', async () => {
    const { at, told } = telling();
    for (let ms = 0; ms < 12_000; ms += 1_000) await at(ms);
    expect(told.map(({ elapsedMs }) => elapsedMs)).toEqual([0, 5_000, 10_000]);
    await at(20_000, { phase: 'stopping' });
    expect(told).toHaveLength(3);
  });
});
