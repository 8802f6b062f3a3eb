import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectRedis, provisionRedis, type ProvisionedRedis, type RunState } from '@forge/broker';
import { childEnvironment, cliEnvironment, loadRecipe, usesReference, type Recipe } from '@forge/config';
import { createRun } from '../create-run';
import { recordDirectory } from '@forge/rl-actors';
import { removeExpiredState } from '../expired-state';
import { preflight } from '../preflight';
import { recipeDirs } from '../recipe-dirs';
import { directoryBytes, listRunRecords, newRunId, readSummary, writeRunRecord } from '../run-directory';
import { RunMonitor } from '../run-monitor';
import { Supervisor, type ServiceProcess } from '../supervisor';
import { duration, type RunHeader } from '../view';
import { isAlive } from './runs';

const STOP_DEADLINE_MS = 30_000;
const EXPIRE_DEADLINE_MS = 5_000;

export interface RunOptions {
  record?: boolean;
}

/** `forge run RECIPE`: starts the services of a run, shows it, and ends them with it. */
export async function run(
  recipeName: string,
  overrides: readonly string[],
  { record }: RunOptions = {},
): Promise<number> {
  const changes = record ? [...overrides, 'output.record=true'] : overrides;
  const recipe = loadRecipe(recipeName, changes, { searchDirs: recipeDirs() });
  const { promptTokens } = await preflight(recipe);

  const say = (message: string): void => {
    process.stderr.write(`forge: ${message}\n`);
  };
  for (const expired of removeExpiredState(listRunRecords(recipe.output.dir, isAlive), Date.now()))
    say(`removed the expired state of ${expired}`);
  const startedAt = new Date();
  const id = newRunId(recipe.name, startedAt, randomBytes(2).toString('hex'));
  const { redisUrl, logLevel } = cliEnvironment();
  const dir = join('.forge', 'redis', id);
  const { restartsPerMinute } = recipe.limits;
  const redisServer = await provisionRedis({
    url: redisUrl,
    dir,
    log: say,
    mayInstall: true,
    restartsPerMinute,
  });
  try {
    return await supervise(recipe, { id, startedAt, promptTokens, redisServer, logLevel, say });
  } finally {
    await redisServer.stop();
  }
}

interface Start {
  id: string;
  startedAt: Date;
  promptTokens: number;
  redisServer: ProvisionedRedis;
  logLevel: string;
  say: (message: string) => void;
}

async function supervise(
  recipe: Recipe,
  { id, startedAt, promptTokens, redisServer, logLevel, say }: Start,
): Promise<number> {
  const { url } = redisServer;
  const redis = await connectRedis(url, {
    name: 'forge',
    giveUpAfterMs: recipe.limits.redisWaitSeconds * 1000,
    onWait: say,
  });
  const { runState, record, directory } = await createRun(
    recipe,
    redis,
    {
      id,
      startedAt,
      promptTokens,
      redisUrl: url,
      redisDir: absolute(redisServer.dir),
      redisPasswordFile: absolute(redisServer.passwordFile),
      pid: process.pid,
    },
    say,
  );
  const header: RunHeader = {
    runId: id,
    recipe: recipe.name,
    seed: recipe.seed,
    steps: recipe.steps,
    maxStaleness: recipe.maxStaleness,
    startedAtMs: startedAt.getTime(),
    directory,
  };
  const monitor = new RunMonitor(runState, header, process.stdout);
  let failure: string | null = null;
  // Not in the run directory: the path of a socket may not be long.
  const socketDirectory = await mkdtemp(join(tmpdir(), 'forge-run-'));
  const supervisor = new Supervisor({
    logDirectory: join(directory, 'logs'),
    socketDirectory,
    environment: childEnvironment({ redisUrl: url, runId: id, logLevel }),
    restartsPerMinute: recipe.limits.restartsPerMinute,
    onRestart: ({ service, replica }, reason) => {
      monitor.say(`${service}/${replica} ended (${reason}); starting it again`);
    },
    onFailure: ({ service, replica }, reason) => {
      failure = `${service}/${replica} ended (${reason}); see ${join(directory, 'logs', `${service}-${replica}.log`)}`;
      monitor.stop();
    },
  });

  const interrupts = handleInterrupts(runState, supervisor, monitor);
  const processes = processesOf(recipe);
  for (const process of processes) supervisor.start(process);
  await monitor.follow();
  const { state, message } = monitor.current;
  await supervisor.stop(
    processes.map(({ service }) => service),
    STOP_DEADLINE_MS,
  );
  await rm(socketDirectory, { recursive: true, force: true });
  interrupts.end();
  // A Redis that is gone for good keeps nobody waiting.
  const keepMs = recipe.limits.keepStateHours * 3_600_000;
  const expiring = runState.expire(keepMs).catch(() => undefined);
  await Promise.race([expiring, sleep(EXPIRE_DEADLINE_MS, undefined, { ref: false })]);
  runState.close();
  redis.disconnect();

  const end =
    failure !== null
      ? 'failed'
      : interrupts.isInterrupted()
        ? 'interrupted'
        : state === 'failed'
          ? 'failed'
          : 'finished';
  const said = failure ?? message;
  writeRunRecord(directory, { ...record, state: end, ...(said === null ? {} : { message: said }) });
  process.stdout.write(`${closingWords(directory, end, said)}\n`);
  return { finished: 0, failed: 1, interrupted: 130 }[end];
}

const absolute = (path: string | null): string | null => (path === null ? null : resolve(path));

function processesOf(recipe: Recipe): ServiceProcess[] {
  const copies = (service: string, count: number): ServiceProcess[] =>
    Array.from({ length: count }, (_, replica) => ({ service, replica: String(replica) }));
  return [
    ...copies('coordinator', 1),
    ...copies('trainer', 1),
    ...copies('policy', recipe.policy.replicas),
    ...copies('reward', recipe.reward.replicas),
    ...(usesReference(recipe) ? copies('reference', recipe.reference.replicas) : []),
    ...copies('replay-buffer', 1),
  ];
}

/** The first Ctrl-C lets the run save what it has and stop; the second ends everything at once. */
function handleInterrupts(runState: RunState, supervisor: Supervisor, monitor: RunMonitor) {
  let count = 0;
  const onInterrupt = (): void => {
    count += 1;
    if (count > 1) {
      supervisor.kill();
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
      `model              ${join(directory, 'model')}`,
      `report             ${join(directory, 'report.html')}`,
    );
  }
  const record = recordDirectory(directory);
  const sizeBytes = directoryBytes(record);
  if (sizeBytes !== null) lines.push(`record             ${record}, ${(sizeBytes / 2 ** 20).toFixed(1)} MiB`);
  return lines.join('\n');
}
