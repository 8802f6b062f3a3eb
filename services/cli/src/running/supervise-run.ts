import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeSocketDirectory } from '@forge/actors';
import {
  connectRedis,
  Registry,
  removeOrphans,
  RunState,
  SpanLog,
  type ProvisionedRedis,
  type Redis,
} from '@forge/broker';
import { childEnvironment, tracingEnvironment, type Recipe } from '@forge/config';
import { runPaths, SERVICES, type ServiceName } from '@forge/contracts';
import { within } from '@forge/errors';
import { directoryBytes, duration, readSummary, type RunRecord, writeRunRecord } from '@forge/runs';
import { exportProblem } from '@forge/telemetry';
import { RunMonitor } from '../shown/run-monitor';
import { headerNow, type RunHeader } from '../shown/view';
import type { Beside } from './beside-run';
import { Fleet } from './fleet';
import { writeLastSpans } from './last-spans';
import { tellAgents } from './tell-agents';
import { Supervisor, WRONG_CONFIGURATION } from './supervisor';

const STOP_DEADLINE_MS = 30_000;
const EXPIRE_DEADLINE_MS = 5_000;
/** A service that drains ends by itself after `limits.drainSeconds`, unless it hangs. */
const DRAIN_GRACE_MS = 5_000;

export interface Start {
  id: string;
  startedAt: Date;
  redisServer: ProvisionedRedis;
  logLevel: string;
  say: (message: string) => void;
  /** Starts what is to go on beside the run. */
  beside?: Beside;
  /** Makes state and directory ready. `resumedAt`: the telemetry event after which a run that was resumed goes on. */
  open: (
    runState: RunState,
    redis: Redis,
  ) => Promise<{ record: RunRecord; directory: string; resumedAt: string | null }>;
}

/** Runs the services of a run whose state and directory `open` makes ready, shows it, and ends them with it. */
export async function supervise(recipe: Recipe, start: Start): Promise<number> {
  // Not in the run directory: the path of a socket may not be long.
  const socketDirectory = await makeSocketDirectory('forge-run-');
  try {
    return await superviseAt(socketDirectory, recipe, start);
  } finally {
    await rm(socketDirectory, { recursive: true, force: true });
  }
}

async function superviseAt(
  socketDirectory: string,
  recipe: Recipe,
  { id, startedAt, redisServer, logLevel, say, beside, open }: Start,
): Promise<number> {
  const { url } = redisServer;
  const redis = await connectRedis(url, {
    name: 'forge',
    giveUpAfterMs: recipe.limits.redisWaitSeconds * 1000,
    onWait: say,
  });
  for (const gone of await removeOrphans(redis)) say(`removed what was left in Redis of ${gone}`);
  const runState = new RunState(redis, id);
  const { record, directory, resumedAt } = await open(runState, redis).catch((error: unknown) => {
    runState.close();
    redis.disconnect();
    throw error;
  });
  const header: RunHeader = {
    runId: id,
    recipe: recipe.name,
    seed: recipe.seed,
    steps: recipe.steps,
    maxStaleness: recipe.maxStaleness,
    startedAtMs: startedAt.getTime(),
    directory,
  };
  const paths = runPaths(directory);
  const monitor = new RunMonitor(runState, header, process.stdout);
  beside?.(directory, (message) => monitor.say(message));
  const failures: { message: string; isHopeless: boolean }[] = [];
  const supervisor = new Supervisor({
    logDirectory: paths.logs,
    socketDirectory,
    environment: childEnvironment({
      redisUrl: url,
      runId: id,
      logLevel,
      redisWaitSeconds: recipe.limits.redisWaitSeconds,
    }),
    restartsPerMinute: recipe.limits.restartsPerMinute,
    drainMs: recipe.limits.drainSeconds * 1000 + DRAIN_GRACE_MS,
    onTrialEnd: (process, reason) => {
      void fleet.trialEnded(process, reason).catch(() => undefined);
    },
    onRestart: ({ service, replica }, reason) => {
      monitor.say(`${service}/${replica} ended (${reason}); starting it again`);
    },
    onFailure: ({ service, replica }, reason, isHopeless) => {
      const log = join(paths.logs, `${service}-${replica}.log`);
      failures.push({ message: `${service}/${replica} ended (${reason}); see ${log}`, isHopeless });
      monitor.stop();
    },
  });

  void exportProblem(tracingEnvironment()).then((problem) => {
    if (problem !== null) monitor.say(`warning: spans are not exported, the run goes on without: ${problem}`);
  });
  const { controls } = runState;
  const registry = new Registry(redis, id);
  const fleet = new Fleet({ supervisor, controls, registry, say: (text) => monitor.say(text) });
  const interrupts = handleInterrupts(runState, supervisor, monitor, () => {
    const { steps } = headerNow(header, monitor.current);
    const words = 'ended at once by a second Ctrl-C, before the model was saved';
    writeRunRecord(directory, { ...record, steps, state: 'interrupted', message: words });
  });
  await controls.supervise(replicasOf(recipe));
  void fleet.follow(runState);
  const over = new AbortController();
  if (recipe.rollout.sessions)
    void tellAgents({ registry, controls, directory, say: (text) => monitor.say(text) }, over.signal);
  await monitor.follow(resumedAt);
  over.abort();
  const { state, message } = monitor.current;
  fleet.stop();
  await supervisor.stop(STOP_DEADLINE_MS);
  interrupts.end();
  await writeLastSpans(new SpanLog(redis, runState), directory, recipe);
  // The end does not wait for a Redis that is gone for good.
  const keepMs = recipe.limits.keepStateHours * 3_600_000;
  const expiring = runState.expire(keepMs).catch(() => undefined);
  await within(EXPIRE_DEADLINE_MS, expiring, () => undefined);
  runState.close();
  redis.disconnect();

  const [failure] = failures;
  const end =
    failure !== undefined
      ? 'failed'
      : interrupts.isInterrupted()
        ? 'interrupted'
        : state === 'failed'
          ? 'failed'
          : 'finished';
  const said = failure?.message ?? message;
  const { steps } = headerNow(header, monitor.current);
  writeRunRecord(directory, { ...record, steps, state: end, ...(said === null ? {} : { message: said }) });
  process.stdout.write(`${closingWords(directory, end, said)}\n`);
  return failure?.isHopeless ? WRONG_CONFIGURATION : { finished: 0, failed: 1, interrupted: 130 }[end];
}

/** The services of a run, and how many of each it starts with. */
function replicasOf(recipe: Recipe): Partial<Record<ServiceName, number>> {
  const { gateway, policy, reward, reference } = recipe;
  const scalable = { gateway, policy, reward, reference };
  return Object.fromEntries(
    SERVICES.map((service) => [service, scalable[service as keyof typeof scalable]?.replicas ?? 1]),
  );
}

/** The first Ctrl-C lets the run save what it has and stop; the second ends everything at once, which `note` writes down. */
function handleInterrupts(runState: RunState, supervisor: Supervisor, monitor: RunMonitor, note: () => void) {
  let count = 0;
  const onInterrupt = (): void => {
    count += 1;
    if (count > 1) {
      supervisor.kill();
      note();
      process.exit(130);
    }
    monitor.say('stopping: the model is saved first (Ctrl-C again to end at once)');
    void runState.setPhase('stopping', 'asked to stop');
  };
  process.on('SIGINT', onInterrupt);
  process.on('SIGTERM', onInterrupt);
  return {
    isInterrupted: () => count > 0,
    end: () => {
      process.off('SIGINT', onInterrupt);
      process.off('SIGTERM', onInterrupt);
    },
  };
}

function closingWords(directory: string, end: string, message: string | null): string {
  const { model, report, trainingRecord } = runPaths(directory);
  const summary = readSummary(directory);
  const percent = (value: unknown): string =>
    typeof value === 'number' ? `${(100 * value).toFixed(1)} %` : '-';
  const lines = [`run ${end}${message === null ? '' : `: ${message}`}`];
  if (summary) {
    const { startAccuracy, finalAccuracy, steps, seconds, weightsHash } = summary;
    if (typeof finalAccuracy === 'number')
      lines.push(`held-out accuracy  ${percent(startAccuracy)} -> ${percent(finalAccuracy)}`);
    lines.push(`steps              ${String(steps)} in ${duration(Number(seconds) * 1000)}`);
    lines.push(
      `weights            ${String(weightsHash ?? '-')}`,
      `model              ${model}`,
      `report             ${report}`,
    );
  }
  const sizeBytes = directoryBytes(trainingRecord);
  if (sizeBytes !== null)
    lines.push(`record             ${trainingRecord}, ${(sizeBytes / 2 ** 20).toFixed(1)} MiB`);
  return lines.join('\n');
}
