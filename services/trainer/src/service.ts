import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import { generationServer, type Recipe } from '@forge/config';
import { runPaths, type WeightsAnnouncement } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { findResumePoint, onMicroBatches, Recorder, Trainer, type MicroBatches } from '@forge/rl-actors';
import type { ServiceContext, ServiceInstance } from '@forge/service-kit';
import { offerWeights } from './offer-weights';
import { startTorch } from './torch/torch-launcher';
import { TrainingLoop } from './handlers/training-loop';

const BLOCK_MS = 500;

/** Trains the policy batch by batch, in the Trainer actor or in PyTorch. */
export function start(context: ServiceContext): Promise<ServiceInstance> {
  const own = ownTrainer(context.recipe.trainer);
  return own === null ? startTorch(context) : startActor(context, own);
}

/** Settings of a trainer with an engine of ours; null where it is none. */
function ownTrainer({ engine, torch: _, ...settings }: Recipe['trainer']) {
  return engine === 'torch' ? null : { ...settings, engine };
}

/** The model lives in the Trainer actor, this coordinates. */
async function startActor(
  context: ServiceContext,
  own: NonNullable<ReturnType<typeof ownTrainer>>,
): Promise<ServiceInstance> {
  const { recipe, runId, runState, registry, traces, logger, fail } = context;
  const dir = join(recipe.output.dir, runId);
  /** Weights that can't be read fail the run: starting again would not help. Anything else is worth another try. */
  const giveUp = async (error: unknown): Promise<never> => {
    const { code, message } = ForgeError.from(error);
    if (code === 'CONTRACT_WEIGHTS_CORRUPT') await runState.setPhase('failed', message);
    throw error;
  };
  const {
    checkpointEverySteps,
    keepCheckpoints,
    keepVersions,
    keepSeconds,
    publishDtype,
    rollback,
    ...optimizer
  } = own;
  const settings = {
    model: recipe.model,
    algorithm: recipe.algorithm,
    adapter: recipe.adapter && { ...recipe.adapter, seed: recipe.seed },
    optimizer,
    temperature: recipe.sampling.temperature || 1,
    steps: recipe.steps,
    publishDtype,
  };
  const trainer = await thisProc().spawn('trainer', Trainer, {
    ...settings,
    dir,
    maxStaleness: recipe.maxStaleness,
    keepVersions,
    keepSeconds,
    rollback,
    keepCheckpoints,
    // A server could go on with the weights it had, and nobody here would see it.
    canary: generationServer(recipe.policy.engine) !== null,
  });
  // A predecessor goes on until here, and this trainer takes up its commits.
  const epoch = await runState.newEpoch();
  const version = await runState.version();
  const latest = await runState.weights.latest();
  const { from, note } = await findResumePoint({
    runId,
    dir,
    version,
    announcement: latest?.announcement ?? null,
  }).catch(giveUp);
  if (note !== null) logger.warn(note);
  await trainer.takeOver.callOne(epoch, from ?? undefined);
  const recorder = recipe.output.record
    ? await Recorder.open(runPaths(dir).trainingRecord, runId, version, epoch)
    : null;
  const offer = await offerWeights(context);
  if (from !== latest?.announcement) {
    const published = await trainer.publishWeights.callOne();
    await checkSame(latest?.announcement, published).catch(giveUp);
    if (version === 0) await recorder?.base(settings, published.sha256);
    await runState.weights.announce(published);
  }
  logger.info({ version, epoch }, version === 0 ? 'training starts' : 'training resumes');

  let microBatches: MicroBatches | null = null;
  const endHearing = onMicroBatches(dir, (told) => (microBatches = told));
  const loop = new TrainingLoop({
    runState,
    trainer,
    recorder,
    microBatches: () => microBatches,
    seed: recipe.seed,
    livePolicies: async () => {
      const policies = await registry.list('policy');
      return new Set(policies.map(({ replica }) => `policy/${replica}`));
    },
    maxRollbacksInARow: rollback.maxInARow,
    epoch,
    checkpointEverySteps,
    traces,
    clock: () => performance.now(),
    logger,
  });
  await loop.locate();
  const stopping = new AbortController();
  const train = async () => {
    while (!stopping.signal.aborted) await loop.turn(BLOCK_MS);
  };
  const running = train().catch(fail);

  return {
    ready: () => true,
    totals: () => loop.totals(),
    gauges: () => Promise.resolve(loop.gauges()),
    drain: async () => {
      stopping.abort();
      await running;
      await loop.checkEpoch();
      await loop.save();
      await offer?.close();
      endHearing();
      await trainer.stop();
    },
  };
}

/** Checks that a version published again has the weights it had. */
function checkSame(before: WeightsAnnouncement | undefined, published: WeightsAnnouncement): Promise<void> {
  if (before?.version !== published.version || before.sha256 === published.sha256) return Promise.resolve();
  const { version, sha256 } = published;
  const message = `version ${version} has the weights ${sha256}, but those of ${before.sha256} were committed`;
  return Promise.reject(new ForgeError('CONTRACT_WEIGHTS_CORRUPT', message, { version }));
}
