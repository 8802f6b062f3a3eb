import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { queueGauges, RolloutQueue } from '@forge/broker';
import { candidatesPerBatch, usesReference } from '@forge/config';
import { loadTask } from '@forge/recipe-parts';
import { queueLimits, SpanFile, type ServiceContext, type ServiceInstance } from '@forge/service-kit';
import { ActivityClock } from '@forge/telemetry';
import { EvaluationSchedule } from './lifecycle/evaluation-schedule';
import { OpenRollouts } from './lifecycle/open-rollouts';
import { RunLifecycle } from './lifecycle/run-lifecycle';
import { writeRunSummary } from './recording/run-summary';
import { TelemetryRecorder } from './recording/telemetry-recorder';
import { Watchdog } from './lifecycle/watchdog';
import { openSinks } from './recording/sinks/open-sinks';
import { RunDirectory } from './recording/run-directory';

/** How long nothing may happen before the coordinator looks by itself. */
const POLL_MS = 250;
/** How often at least the time starts anew after which the state of the run expires. */
const KEEP_INTERVAL_MS = 600_000;
const WATCH_MS = 1_000;
const SPANS_MS = 1_000;

/** Admits groups, schedules evaluations, ends the run, and keeps its directory. */
export async function start(context: ServiceContext): Promise<ServiceInstance> {
  const { recipe, runState, registry, logger, fail } = context;
  const keepMs = recipe.limits.keepStateHours * 3_600_000;
  const keep = () => runState.expire(keepMs);
  await keep();
  const keeping = setInterval(() => void keep().catch(fail), Math.min(KEEP_INTERVAL_MS, keepMs / 4));
  const runDir = join(recipe.output.dir, context.runId);
  const directory = await RunDirectory.open(runDir);
  const { phase } = await runState.phase();
  if ((await directory.summary())?.state === phase) {
    logger.info({ phase }, 'the run is over; nothing is left to do');
    // Whoever follows the run may not have heard it: the predecessor may have died before it said so.
    await runState.emit({ kind: 'run', state: phase });
    return {
      ready: () => true,
      drain: () => {
        clearInterval(keeping);
        return Promise.resolve();
      },
    };
  }
  const task = await loadTask(recipe);
  // Until here a predecessor goes on.
  const coordinator = await runState.newCoordinator();
  const evaluations = new EvaluationSchedule(task.heldOut.length === 0 ? 0 : recipe.evaluation.everySteps);
  const services = ['trainer', 'policy', 'reward', 'replay-buffer'];
  if (usesReference(recipe)) services.push('reference');
  const recorder = await TelemetryRecorder.open(
    runState,
    directory,
    evaluations,
    openSinks(recipe, context.runId, runDir, logger),
    () => runState.checkCoordinator(coordinator),
    (message) => {
      logger.warn(message);
    },
    ['coordinator', 'reference', ...services],
  );
  const queue = new RolloutQueue(context.redisUrl, context.runId, undefined, queueLimits(recipe));
  const openRollouts = new OpenRollouts(recipe.limits.heldGroups, (index, admittedAtMs) => {
    const isShown = index % candidatesPerBatch(recipe) < recipe.output.sampleRollouts;
    return context.traces.rollout(index, admittedAtMs, isShown);
  });
  const lifecycle = new RunLifecycle({
    runState,
    queue,
    task,
    evaluations,
    candidatesPerBatch: candidatesPerBatch(recipe),
    evaluationSamples: recipe.evaluation.samples,
    coordinator,
    isModelSaved: () => recorder.isModelSaved,
    openRollouts,
    logger,
  });
  await lifecycle.resume();
  await runState.emit({ kind: 'run', state: 'running' });

  const activity = new ActivityClock(['busy']);
  const stopping = new AbortController();
  let end: 'finished' | 'failed' | null = null;
  let turns: Promise<void> = Promise.resolve();
  const inTurn = (act: () => Promise<void>) => (turns = turns.then(act));
  const advance = () =>
    inTurn(async () => {
      end ??= await activity.during('busy', () => lifecycle.turn());
    });
  const goesOn = () => !stopping.signal.aborted && end === null;
  const followState = async () => {
    let seen = '0';
    while (goesOn()) {
      await advance();
      seen = await runState.waitForSignal(seen, POLL_MS);
    }
  };
  const followTelemetry = async () => {
    while (goesOn()) if ((await recorder.turn(POLL_MS)) > 0) await advance();
  };
  const look = async () => {
    const [{ phase }, { isPaused }, version, nextBatch, ledger, counts, ...replicas] = await Promise.all([
      runState.phase(),
      runState.controls.steering(),
      runState.version(),
      runState.nextBatch(),
      runState.ledger(),
      queue.counts(),
      ...services.map((service) => registry.list(service)),
    ]);
    const { waiting = 0, prioritized = 0, active = 0, delayed = 0 } = counts;
    const ready = Object.fromEntries(
      services.map((service, i) => [service, replicas[i]!.filter(({ isReady }) => isReady).length]),
    );
    return {
      phase,
      isPaused,
      version,
      nextBatch,
      ledger,
      candidatesPerBatch: candidatesPerBatch(recipe),
      jobs: { waiting: waiting + prioritized, active, delayed },
      held: lifecycle.heldGroups,
      services,
      ready,
      isModelSaved: recorder.isModelSaved,
    };
  };
  // A predecessor may have died while the run waited.
  if ((await runState.waitingFor()) !== null) await runState.setWaitingFor(null);
  const watchdog = new Watchdog({
    runState,
    look,
    stallMs: recipe.limits.stallSeconds * 1000,
    clock: () => performance.now(),
    logger,
  });
  const watch = async () => {
    while (goesOn()) {
      await watchdog.turn();
      await inTurn(() => lifecycle.requeueLost());
      await sleep(WATCH_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  /** Services tell of spans until they end, which is later than the run does. */
  const writeSpans = async () => {
    const file = new SpanFile(runDir);
    while (!stopping.signal.aborted) {
      await sleep(SPANS_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
      await file.takeFrom(context.spans, recipe.limits.spansFileMiB);
    }
  };
  /** The last word of the run, said once everything else is written. */
  const conclude = async () => {
    await runState.checkCoordinator(coordinator);
    await recorder.catchUp();
    if (end === 'finished')
      openRollouts.end(await runState.ledgerSnapshot(), recorder.startedAt ?? Date.now());
    const state = end ?? 'interrupted';
    await recorder.close(state);
    const { seconds, isModelSaved } = recorder;
    const { results } = evaluations;
    await writeRunSummary(runState, directory, recipe, {
      state,
      seconds,
      evaluations: results,
      isModelSaved,
    });
    if (state === 'finished') await runState.setPhase('finished');
    const { message } = await runState.phase();
    await runState.emit({ kind: 'run', state, ...(message === null ? {} : { message }) });
  };
  // It only watches: a run that is over does not wait for it.
  void watch().catch(fail);
  const running = Promise.all([followState(), followTelemetry()]).then(conclude).catch(fail);
  const writing = writeSpans().catch(fail);

  return {
    ready: () => true,
    totals: () => activity.totals(),
    newest: () => recorder.newest,
    gauges: () => queueGauges(queue, context.backlog),
    drain: async () => {
      clearInterval(keeping);
      stopping.abort();
      await running;
      await writing;
      await queue.close();
    },
  };
}
