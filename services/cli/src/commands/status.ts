import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectRedis, openRolloutQueue, Registry, RunState } from '@forge/broker';
import { runPaths, storedBound, type CallsMade, type Replica } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import {
  isAlive,
  isSlowStep,
  listRunRecords,
  newestLines,
  readLiveRun,
  redisUrlOf,
  stepProgressWords,
  type RunRecord,
} from '@forge/runs';
import { agentAccess } from '../shown/agent-access';

const GIVE_UP_MS = 3_000;
const WATCH_MS = 1_000;

export interface StatusOptions {
  dir: string;
  json?: boolean;
  watch?: boolean;
}

/** `forge status [RUN]`: where running runs stand: step, ledger, queue and replicas; with `--watch` until they are over. */
export async function status(runId: string | undefined, options: StatusOptions): Promise<number> {
  const find = (): RunRecord[] => recordsIn(options.dir, runId);
  const records = find();
  if (runId !== undefined && records.length === 0) {
    process.stderr.write(`forge: no run ${runId} in ${options.dir}\n`);
    return 2;
  }
  if (options.watch) return watch(find, options);
  process.stdout.write(
    `${shown(await Promise.all(records.map((record) => report(record, options.dir))), options)}\n`,
  );
  return 0;
}

function recordsIn(dir: string, runId: string | undefined): RunRecord[] {
  return listRunRecords(dir, isAlive).filter(({ id, state }) =>
    runId === undefined ? state === 'running' : id === runId,
  );
}

function shown(reports: readonly Report[], { json }: Pick<StatusOptions, 'json'>): string {
  if (json) return JSON.stringify(reports);
  return reports.length === 0 ? 'nothing is running' : reports.map(render).join('\n\n');
}

/** Shows it once a second: in place on a terminal, elsewhere whenever it is another. */
async function watch(find: () => RunRecord[], options: StatusOptions): Promise<number> {
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());
  const isInPlace = process.stdout.isTTY && !options.json;
  const { createLogUpdate } = await import('log-update');
  const live = createLogUpdate(process.stdout);
  let last = '';
  for (;;) {
    const records = find();
    const text = await Promise.all(records.map((record) => report(record, options.dir))).then(
      (reports) => shown(reports, options),
      // Redis is away, or the run has just ended: the next look tells more.
      (error: unknown) => (options.json ? last : `forge: ${ForgeError.from(error).message}`),
    );
    if (isInPlace) live(text);
    else if (text !== last) process.stdout.write(`${text}\n`);
    last = text;
    if (stopping.signal.aborted || !records.some(({ state }) => state === 'running')) break;
    await sleep(WATCH_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
    if (stopping.signal.aborted) break;
  }
  live.done();
  return 0;
}

type Report = Awaited<ReturnType<typeof report>>;

async function report(record: RunRecord, dir: string) {
  const { id, recipe, steps, state } = record;
  const directory = join(dir, id);
  const [newest] = await newestLines(runPaths(directory).metrics, 1);
  const metrics = (newest ?? null) as Record<string, number> | null;
  const known = { id, recipe, steps, state, directory, metrics };
  if (state !== 'running') return { ...known, live: null, problem: null };
  try {
    return { ...known, ...(await lookLive(record)), problem: null };
  } catch (error) {
    if (!(error instanceof ForgeError) || error.code !== 'CONFLICT_STATE') throw error;
    return { ...known, live: null, problem: error.message };
  }
}

/**
 * The state of a run that goes on, as Redis has it.
 *
 * @throws {ForgeError} CONFLICT_STATE when its state is gone; TRANSIENT_REDIS_UNREACHABLE.
 */
async function lookLive(record: RunRecord) {
  const { id } = record;
  const url = redisUrlOf(record);
  const redis = await connectRedis(url, { name: 'forge-status', giveUpAfterMs: GIVE_UP_MS });
  const runState = new RunState(redis, id);
  const registry = new Registry(redis, id);
  const queue = await openRolloutQueue(url, id);
  try {
    const [{ steps, replicas, maxStaleness, deadLetters: letters, ...stand }, jobs] = await Promise.all([
      readLiveRun(runState, registry),
      queue.counts(),
    ]);
    const services = Object.fromEntries(
      Object.entries(replicas).map(([service, all]) => [service, all.filter(({ isAlive }) => isAlive)]),
    );
    return { steps, live: { ...stand, maxStaleness: storedBound(maxStaleness), jobs, letters, services } };
  } finally {
    runState.close();
    await queue.close();
    redis.disconnect();
  }
}

function render({ id, recipe, steps, state, directory, metrics, live, problem }: Report): string {
  if (live === null) return [`${id}  ${recipe}  ${problem ?? state}`, ...learning(metrics)].join('\n');
  const { ledger, jobs, letters, services } = live;
  const discarded = Object.entries(ledger.discarded).map(([reason, count]) => `${count} ${reason}`);
  return [
    `${id}  ${live.phase}  step ${live.version}/${steps}  maxStaleness ${live.maxStaleness}`,
    ...(live.isPaused ? ['  admission is paused (forge unpause)'] : []),
    ...(live.waitingFor === null ? [] : [`  waits for ${live.waitingFor}`]),
    ...(live.progress === null || !isSlowStep(live.progress)
      ? []
      : [`  step ${`${live.progress.step}`.padEnd(4)} ${stepProgressWords(live.progress)}`]),
    ...learning(metrics),
    `  groups    ${ledger.admitted} admitted: ${ledger.trained} trained, ${ledger.leased} leased, ${ledger.buffered} buffered, ${ledger.inFlight} in flight, discarded ${discarded.join(', ') || 'none'}${ledger.isBalanced ? '' : '  (DOES NOT ADD UP)'}`,
    `  jobs      ${jobs.waiting ?? 0} waiting, ${jobs.active ?? 0} active, ${jobs.delayed ?? 0} delayed, ${jobs.failed ?? 0} failed, ${letters.kept} dead letters`,
    ...(live.agentsAt.length === 0 ? [] : [`  agents    ${agentAccess(live.agentsAt, directory)}`]),
    ...Object.values(services)
      .flat()
      .map((replica) => renderReplica(replica, callsOf(replica, Object.values(services).flat()))),
  ].join('\n');
}

/** The newest row of metrics, in a line. */
function learning(metrics: Readonly<Record<string, number>> | null): string[] {
  if (metrics === null) return [];
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const said = (name: string, key: string, show: (value: number) => string): string[] =>
    metrics[key] === undefined ? [] : [`${name} ${show(metrics[key])}`];
  const parts = [
    ...said('reward', 'reward/mean', (reward) => reward.toFixed(3)),
    ...said('accuracy', 'eval/accuracy', percent),
    ...said('lag', 'lag/mean', (lag) => lag.toFixed(1)),
    ...said('generated', 'tokens/generated_per_second', (rate) => `${Math.round(rate)} tok/s`),
    ...said('busy trainer', 'busy/trainer', percent),
    ...said('policy', 'busy/policy', percent),
  ];
  return [`  learning  ${parts.join('  ')}`];
}

function renderReplica(
  { service, replica, isReady, pid, url }: Replica,
  calls: readonly CallsMade[],
): string {
  const state = isReady ? 'ready   ' : 'starting';
  const seen = calls.map(
    ({ requests, failed, p50Ms, p99Ms }) =>
      `${requests} calls, ${failed} failed, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`,
  );
  return [`  ${`${service}/${replica}`.padEnd(16)}`, state, `pid ${pid}`, url, ...seen].join('  ');
}

/** The reports of a replica's callers about it, one entry per caller. */
function callsOf({ service, replica }: Replica, callers: readonly Replica[]): CallsMade[] {
  return callers
    .flatMap(({ callsMade }) => callsMade)
    .filter((made) => made.service === service && made.replica === replica && made.requests > 0);
}
