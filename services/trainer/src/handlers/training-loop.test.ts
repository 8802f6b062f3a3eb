import type { LeasedBatch, RunSteering } from '@forge/broker';
import { TrainingLoop, type TrainingLoopOptions } from './training-loop';

const batchOf = (version: number): LeasedBatch => ({
  batch: { schemaVersion: 2, version, groups: [{ index: version, advantages: [0] }], statistics: {} },
  payloads: [Buffer.from('group')],
  maxStaleness: 4 + version,
});

/** The loop of the second trainer of a run, which is at version 3, and what it asks of its Trainer. */
function loopOf({ batches, epoch = 2 }: { batches: LeasedBatch[]; epoch?: number }) {
  const trained: [version: number, maxStaleness: number][] = [];
  const committed: number[] = [];
  const steering: RunSteering = { maxStaleness: 0, steps: 9, stopAtAccuracy: null, isPaused: false, epoch };
  const result = { metrics: {}, lag: { 'lag/mean': 0, 'lag/max': 0 }, durationMs: 1, tokens: 1 };
  const trainer = {
    trainBatch: {
      callOne: ({ version }: LeasedBatch['batch'], _: unknown, maxStaleness: number) => {
        trained.push([version, maxStaleness]);
        return Promise.resolve(result);
      },
    },
    publishWeights: { callOne: () => Promise.resolve({ version: 4 }) },
  };
  const runState = {
    phase: () => Promise.resolve({ phase: 'running', message: null }),
    version: () => Promise.resolve(3),
    weights: {
      wanted: () => Promise.resolve({ rollback: null, rollbacksInARow: 0, publish: null }),
      users: () => Promise.resolve(new Map()),
    },
    resumption: { position: () => Promise.resolve({ nextIndex: 8, trained: 4 }) },
    controls: { steering: () => Promise.resolve(steering) },
    readBatch: () => Promise.resolve(batches.shift() ?? null),
    commitStep: (step: number) => Promise.resolve(void committed.push(step)),
    emit: () => Promise.resolve(),
  };
  const loop = new TrainingLoop({
    runState,
    trainer,
    epoch: 2,
    recorder: null,
    livePolicies: () => Promise.resolve(new Set()),
    maxRollbacksInARow: 3,
    traces: { step: () => undefined },
    checkpointEverySteps: 100,
    clock: () => 0,
    logger: { warn: () => undefined },
  } as unknown as TrainingLoopOptions);
  return { loop, trained, committed };
}

describe('TrainingLoop', () => {
  it('trains a batch under the bound it was formed under', async () => {
    const { loop, trained, committed } = loopOf({ batches: [batchOf(3)] });
    await loop.turn(0);
    expect([trained, committed]).toEqual([[[3, 7]], [3]]);
  });

  it('takes the batch that is due before the next one, which came first', async () => {
    const { loop, trained } = loopOf({ batches: [batchOf(4), batchOf(3)] });
    await loop.turn(0);
    expect(trained).toEqual([[3, 7]]);
  });

  it('ends when another trainer took over', async () => {
    const { loop, trained } = loopOf({ batches: [batchOf(3)], epoch: 3 });
    await expect(loop.turn(0)).rejects.toMatchObject({ code: 'STALE_EPOCH' });
    expect(trained).toEqual([]);
  });
});
