import type { LeasedBatch, RunSteering } from '@forge/broker';
import { ForgeError } from '@forge/errors';
import type { MicroBatches } from '@forge/rl-actors';
import { TrainingLoop, type TrainingLoopOptions } from './training-loop';

const batchOf = (version: number): LeasedBatch => ({
  batch: { schemaVersion: 4, version, groups: [{ index: version, advantages: [0] }], statistics: {} },
  payloads: [Buffer.from('group')],
  maxStaleness: 4 + version,
});

/** The loop of the second trainer of a run, which is at version 3, and what it asks of its Trainer. */
function loopOf({
  batches,
  epoch = 2,
  smallerMicroBatches = null,
  failure,
}: {
  batches: LeasedBatch[];
  epoch?: number;
  smallerMicroBatches?: number | null;
  failure?: ForgeError;
}) {
  const said: (string | undefined)[] = [];
  const phases: [phase: string, message: string][] = [];
  const trained: [version: number, maxStaleness: number][] = [];
  const committed: number[] = [];
  const told: Record<string, number>[] = [];
  const gauges: Record<string, number>[] = [];
  let microBatches: MicroBatches | null = { version: 2, done: 5, of: 5 };
  const steering: RunSteering = { maxStaleness: 0, steps: 9, stopAtAccuracy: null, isPaused: false, epoch };
  const lag = { 'lag/mean': 0, 'lag/max': 0 };
  const result = { metrics: {}, lag, durationMs: 1, tokens: 1, smallerMicroBatches };
  const trainer = {
    trainBatch: {
      callOne: ({ version }: LeasedBatch['batch'], _: unknown, maxStaleness: number) => {
        gauges.push(loop.gauges());
        microBatches = { version, done: 2, of: 5 };
        gauges.push(loop.gauges());
        trained.push([version, maxStaleness]);
        return failure === undefined ? Promise.resolve(result) : Promise.reject(failure);
      },
    },
    publishWeights: { callOne: () => Promise.resolve({ version: 4 }) },
  };
  const runState = {
    phase: () => Promise.resolve({ phase: 'running', message: null }),
    version: () => Promise.resolve(3),
    setPhase: (phase: string, message: string) => Promise.resolve(phases.push([phase, message])),
    emit: ({ message }: { message?: string }) => Promise.resolve(said.push(message)),
    weights: {
      wanted: () => Promise.resolve({ rollback: null, rollbacksInARow: 0, publish: null }),
      users: () => Promise.resolve(new Map()),
    },
    resumption: { position: () => Promise.resolve({ nextIndex: 8, trained: 4 }) },
    controls: { steering: () => Promise.resolve(steering) },
    readBatch: () => Promise.resolve(batches.shift() ?? null),
    commitStep: (step: number, _: unknown, __: unknown, metrics: Record<string, number>) => {
      committed.push(step);
      told.push(metrics);
      return Promise.resolve();
    },
  };
  const loop = new TrainingLoop({
    runState,
    trainer,
    epoch: 2,
    recorder: null,
    microBatches: () => microBatches,
    livePolicies: () => Promise.resolve(new Set()),
    maxRollbacksInARow: 3,
    traces: { step: () => undefined },
    checkpointEverySteps: 100,
    clock: () => 0,
    logger: { warn: () => undefined },
  } as unknown as TrainingLoopOptions);
  return { loop, trained, committed, told, gauges, said, phases };
}

describe('TrainingLoop', () => {
  it('trains a batch under the bound it was formed under', async () => {
    const { loop, trained, committed } = loopOf({ batches: [batchOf(3)] });
    await loop.turn(0);
    expect([trained, committed]).toEqual([[[3, 7]], [3]]);
  });

  it('tells the metrics of a step with its commit', async () => {
    const { loop, told } = loopOf({ batches: [batchOf(3)] });
    await loop.turn(0);
    expect(told).toEqual([expect.objectContaining({ 'tokens/trained': 1, 'lag/max': 0 })]);
  });

  it('reports the micro-batches of a step while it trains', async () => {
    const { loop, gauges } = loopOf({ batches: [batchOf(3)] });
    await loop.turn(0);
    expect(gauges).toEqual([{}, { 'step/number': 4, 'step/microBatchesDone': 2, 'step/microBatches': 5 }]);
    expect(loop.gauges()).toEqual({});
  });

  it('says that micro-batches became smaller, and commits the step', async () => {
    const { loop, committed, said } = loopOf({ batches: [batchOf(3)], smallerMicroBatches: 512 });
    await loop.turn(0);
    expect([committed, said]).toEqual([[3], [expect.stringContaining('trainer.microBatchTokens=512')]]);
  });

  it('fails the run where a step does not fit into memory: a new process had no more of it', async () => {
    const failure = new ForgeError('CAPACITY_DEVICE_MEMORY', 'set trainer.microBatchTokens to 512', {});
    const { loop, committed, phases } = loopOf({ batches: [batchOf(3)], failure });
    await loop.turn(0);
    expect([committed, phases]).toEqual([[], [['failed', failure.message]]]);
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
