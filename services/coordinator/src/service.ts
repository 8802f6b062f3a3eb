import { join } from 'node:path';
import { openRolloutQueue, queueGauges } from '@forge/broker';
import { candidatesPerBatch, fullReward, needsGateway, usesReference, type Recipe } from '@forge/config';
import { SERVICES, type ServiceName } from '@forge/contracts';
import { loadTask } from '@forge/recipe-parts';
import type { Task } from '@forge/rl';
import { queueLimits, SpanFile, type ServiceContext, type ServiceInstance } from '@forge/service-kit';
import { Evaluations } from './evaluations';
import { Lifecycle } from './lifecycle/lifecycle';
import { OpenRollouts } from './lifecycle/open-rollouts';
import { SampleDraws } from './lifecycle/sample-draws';
import { Recording } from './recording/recording';
import { RunDirectory } from './recording/run-directory';
import { openSinks } from './recording/sinks/open-sinks';
import { StepWork } from './step-work';
import { RunTuning } from './tuning/run-tuning';

/** How often at least the time starts anew after which the state of the run expires. */
const KEEP_INTERVAL_MS = 600_000;

/** Admits groups, schedules evaluations, ends the run, and keeps its directory. */
export async function start(context: ServiceContext): Promise<ServiceInstance> {
  const { runId, recipe, runState, registry, logger, fail } = context;
  const keeping = await keepState(context);
  const runDir = join(recipe.output.dir, runId);
  const directory = await RunDirectory.open(runDir);
  const { phase } = await runState.phase();
  if ((await directory.summary())?.state === phase) {
    logger.info({ phase }, 'the run is over; nothing is left to do');
    // The supervisor may not have heard it: the predecessor may have died before it said so.
    await runState.emit({ kind: 'run', state: phase });
    return { ready: () => true, drain: () => Promise.resolve(keeping.end()) };
  }
  const task = await loadTask(recipe);
  // Until here a predecessor goes on.
  const coordinator = await runState.newCoordinator();
  const evaluations = new Evaluations();
  const reported = new StepWork();
  const services = servicesOf(recipe);
  const tuning = await RunTuning.open({ controls: runState.controls, recipe, logger });
  const recording = await Recording.open({
    ...{ runState, recipe, directory, evaluations, reported },
    sinks: openSinks(recipe, runId, runDir, logger),
    spans: context.spans,
    spanFile: new SpanFile(runDir),
    mayWrite: () => runState.checkCoordinator(coordinator),
    services: SERVICES,
    tune: (row) => tuning?.take(row) ?? Promise.resolve({}),
    warn: (message) => {
      logger.warn(message);
    },
  });
  const queue = await openRolloutQueue(context.redisUrl, runId, undefined, queueLimits(recipe));
  const lifecycle = await Lifecycle.open({
    ...{ runState, queue, registry, task, evaluations, reported, services, coordinator, logger },
    evaluation: recipe.evaluation,
    candidatesPerBatch: candidatesPerBatch(recipe),
    tokensPerBatch: tokensPerBatch(recipe),
    stallMs: recipe.limits.stallSeconds * 1000,
    isModelSaved: () => recording.isModelSaved,
    openRollouts: openRolloutsOf(context),
    draws: await drawsOf(context, task, coordinator),
  });
  await runState.emit({ kind: 'run', state: 'running' });

  const stopping = new AbortController();
  const over = new AbortController();
  const ended = lifecycle.follow(stopping.signal).finally(() => {
    over.abort();
  });
  const followed = recording.follow(over.signal, () => lifecycle.advance());
  const running = Promise.all([ended, followed])
    .then(async ([result]) => {
      const state = result ?? 'interrupted';
      await recording.close(state);
      await lifecycle.conclude(state, recording.startedAtMs ?? Date.now());
    })
    .catch(fail);
  // The watchdog only watches: a run that is over does not wait for it.
  void lifecycle.watch(over.signal).catch(fail);
  const writing = recording.followSpans(stopping.signal).catch(fail);

  return {
    ready: () => true,
    totals: () => lifecycle.totals(),
    newest: () => recording.newest,
    gauges: () => queueGauges(queue, context.backlog),
    drain: async () => {
      keeping.end();
      stopping.abort();
      await running;
      await writing;
      await queue.close();
    },
  };
}

/** Services the run needs, besides the coordinator. */
function servicesOf(recipe: Recipe): ServiceName[] {
  const isNeeded: Readonly<Partial<Record<ServiceName, boolean>>> = {
    coordinator: false,
    gateway: needsGateway(recipe),
    reference: usesReference(recipe),
  };
  return SERVICES.filter((service) => isNeeded[service] ?? true);
}

/** Tokens that the completions of one batch's candidates can have at most. */
function tokensPerBatch(recipe: Recipe): number {
  return candidatesPerBatch(recipe) * recipe.algorithm.groupSize * recipe.sampling.maxTokens;
}

/** Lets the state of the run expire a while after the coordinator has stopped renewing it. */
async function keepState({ recipe, runState, fail }: ServiceContext): Promise<{ end: () => void }> {
  const keepMs = recipe.limits.keepStateHours * 3_600_000;
  const keep = () => runState.expire(keepMs);
  await keep();
  const timer = setInterval(() => void keep().catch(fail), Math.min(KEEP_INTERVAL_MS, keepMs / 4));
  return {
    end: () => {
      clearInterval(timer);
    },
  };
}

/** The draws of a run whose task has a curriculum, else null. */
async function drawsOf(
  { recipe, runState }: ServiceContext,
  task: Task,
  coordinator: number,
): Promise<SampleDraws | null> {
  const { curriculum } = recipe.task;
  if (curriculum === undefined) return null;
  const options = { explore: curriculum.explore, repeatAfter: curriculum.repeatAfter, seed: recipe.seed };
  return SampleDraws.open({
    state: runState.curriculum,
    task,
    curriculum: options,
    fullReward: fullReward(recipe),
    coordinator,
  });
}

function openRolloutsOf({ recipe, traces }: ServiceContext): OpenRollouts {
  return new OpenRollouts(recipe.limits.heldGroups, (index, admittedAtMs) => {
    const isShown = index % candidatesPerBatch(recipe) < recipe.output.sampleRollouts;
    return traces.rollout(index, admittedAtMs, isShown);
  });
}
