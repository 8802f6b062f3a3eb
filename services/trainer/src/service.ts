import { join } from 'node:path';
import { spawnWorker } from '@forge/engine';
import type { ServiceContext, ServiceInstance } from '@forge/service-kit';
import { TrainingLoop } from './handlers/training-loop';
import type { TrainApi, TrainWorkerData } from './train-worker';

const BLOCK_MS = 500;

/** Trains the policy batch by batch; the model lives in a worker thread, this thread coordinates. */
export async function start({
  recipe,
  runId,
  runState,
  logger,
  fail,
}: ServiceContext): Promise<ServiceInstance> {
  const epoch = await runState.newEpoch();
  const version = await runState.version();
  const latest = version === 0 ? null : await runState.latestWeights();
  const data: TrainWorkerData = {
    recipe,
    runDir: join(recipe.output.dir, runId),
    epoch,
    resumeFrom: latest?.announcement ?? null,
  };
  const worker = spawnWorker<TrainApi>(join(__dirname, 'train-worker'), data);
  void worker.failed.then(fail);
  await worker.call('opened', undefined);
  if (version === 0) await runState.announceWeights(await worker.call('publish', undefined));
  logger.info({ version, epoch }, version === 0 ? 'training starts' : 'training resumes');

  const loop = new TrainingLoop({
    runState,
    worker,
    steps: recipe.steps,
    checkpointEverySteps: recipe.trainer.checkpointEverySteps,
    clock: () => performance.now(),
    logger,
  });
  const stopping = new AbortController();
  const train = async () => {
    while (!stopping.signal.aborted) await loop.turn(BLOCK_MS);
  };
  const running = train().catch(fail);

  return {
    ready: () => true,
    totals: () => loop.totals(),
    drain: async () => {
      stopping.abort();
      await running;
      await loop.save();
      await worker.terminate();
    },
  };
}
