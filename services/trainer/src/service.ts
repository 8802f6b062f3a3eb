import { join } from 'node:path';
import type { LeasedBatch } from '@forge/broker';
import { spawnWorker } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import type { ServiceContext, ServiceInstance } from '@forge/service-kit';
import { stepMetrics } from './domain/step-metrics';
import type { TrainApi } from './train-worker';

const BLOCK_MS = 250;
const KEPT_CHECKPOINTS = 2;
/** There is one trainer; whoever takes over is handed what the one before it was. */
const CONSUMER = 'trainer';

/** Trains on batch after batch, each at the version that is current then, and publishes the weights it gets. */
export async function start(context: ServiceContext): Promise<ServiceInstance> {
  const { recipe, runState, logger, fail } = context;
  const directory = join(recipe.output.dir, context.runId);
  const weightsDir = join(directory, 'weights');
  const worker = spawnWorker<TrainApi>(join(__dirname, 'train-worker'), { recipe, weightsDir });
  void worker.failed.then(fail);

  const version = await runState.version();
  if (version > 0) {
    const message = `run ${context.runId} is at version ${version} and its optimizer state went with the trainer that died`;
    throw new ForgeError('CONFLICT_STATE', message, { version });
  }
  const epoch = await runState.newEpoch();
  await runState.announceWeights(await worker.call('publish', { version, epoch }));

  let isStopping = false;
  let busyMs = 0;
  let committedAtMs = performance.now();

  async function train({ batch, payloads }: LeasedBatch, waitMs: number): Promise<void> {
    const { step } = batch;
    const trained = await worker.call('step', { batch, payloads });
    busyMs += trained.result.durationMs;
    await runState.commitStep(step, await worker.call('publish', { version: step + 1, epoch }));
    const nowMs = performance.now();
    const times = { stepMs: nowMs - committedAtMs, waitMs };
    committedAtMs = nowMs;
    await runState.emit({ kind: 'step', step: step + 1, values: stepMetrics(batch, trained, times) });
    if ((step + 1) % recipe.trainer.checkpointEverySteps === 0) await checkpoint(step + 1);
  }

  async function checkpoint(step: number): Promise<void> {
    const at = (n: number): string => join(directory, 'checkpoints', `step-${n}`);
    await worker.call('save', { dir: at(step) });
    await worker.call('remove', { dir: at(step - KEPT_CHECKPOINTS * recipe.trainer.checkpointEverySteps) });
  }

  async function run(): Promise<void> {
    let waitedSinceMs = performance.now();
    while (!isStopping && (await runState.phase()).phase === 'running') {
      const leased = await runState.readBatch(CONSUMER, BLOCK_MS);
      if (leased === null) continue;
      await train(leased, performance.now() - waitedSinceMs);
      waitedSinceMs = performance.now();
    }
    await worker.call('save', { dir: join(directory, 'model') });
    logger.info('final model saved');
    await runState.emit({ kind: 'run', state: 'saved' });
  }
  const running = run().catch(fail);

  return {
    ready: () => true,
    totals: () => ({ busyMs }),
    drain: async () => {
      isStopping = true;
      await running;
      await worker.terminate();
    },
  };
}
