import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import { Trainer } from '@forge/rl-actors';
import type { ServiceContext, ServiceInstance } from '@forge/service-kit';
import { TrainingLoop } from './handlers/training-loop';

const BLOCK_MS = 500;

/** Trains the policy batch by batch; the model lives in the Trainer actor, this coordinates. */
export async function start({
  recipe,
  runId,
  runState,
  logger,
  fail,
}: ServiceContext): Promise<ServiceInstance> {
  const epoch = await runState.newEpoch();
  const version = await runState.version();
  const latest = version === 0 ? null : await runState.weights.latest();
  const { checkpointEverySteps, ...optimizer } = recipe.trainer;
  const trainer = await thisProc().spawn('trainer', Trainer, {
    model: recipe.model,
    dir: join(recipe.output.dir, runId),
    algorithm: recipe.algorithm,
    optimizer,
    temperature: recipe.sampling.temperature || 1,
    steps: recipe.steps,
    maxStaleness: recipe.maxStaleness,
    epoch,
    ...(latest !== null && { resumeFrom: latest.announcement }),
  });
  if (version === 0) await runState.weights.announce(await trainer.pushWeights.callOne());
  logger.info({ version, epoch }, version === 0 ? 'training starts' : 'training resumes');

  const loop = new TrainingLoop({
    runState,
    trainer,
    steps: recipe.steps,
    checkpointEverySteps,
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
      await trainer.stop();
    },
  };
}
