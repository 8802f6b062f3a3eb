import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import { recordDirectory, Recorder, Trainer } from '@forge/rl-actors';
import type { ServiceContext, ServiceInstance } from '@forge/service-kit';
import { TrainingLoop } from './handlers/training-loop';

const BLOCK_MS = 500;

/** Trains the policy batch by batch; the model lives in the Trainer actor, this coordinates. */
export async function start({
  recipe,
  runId,
  runState,
  registry,
  logger,
  fail,
}: ServiceContext): Promise<ServiceInstance> {
  const epoch = await runState.newEpoch();
  const version = await runState.version();
  const latest = version === 0 ? null : await runState.weights.latest();
  const { checkpointEverySteps, keepVersions, rollback, ...optimizer } = recipe.trainer;
  const dir = join(recipe.output.dir, runId);
  const settings = {
    model: recipe.model,
    algorithm: recipe.algorithm,
    optimizer,
    temperature: recipe.sampling.temperature || 1,
    steps: recipe.steps,
  };
  const trainer = await thisProc().spawn('trainer', Trainer, {
    ...settings,
    dir,
    maxStaleness: recipe.maxStaleness,
    keepVersions,
    rollback,
    epoch,
    ...(latest !== null && { resumeFrom: latest.announcement }),
  });
  const recorder = recipe.output.record ? await Recorder.open(recordDirectory(dir), runId, version) : null;
  if (version === 0) {
    const announcement = await trainer.pushWeights.callOne();
    await recorder?.base(settings, announcement.sha256);
    await runState.weights.announce(announcement);
  }
  logger.info({ version, epoch }, version === 0 ? 'training starts' : 'training resumes');

  const loop = new TrainingLoop({
    runState,
    trainer,
    recorder,
    livePolicies: async () => {
      const policies = await registry.list('policy');
      return new Set(policies.map(({ replica }) => `policy/${replica}`));
    },
    steps: recipe.steps,
    maxRollbacksInARow: rollback.maxInARow,
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
