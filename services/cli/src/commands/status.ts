import { connectRedis, Registry, RolloutQueue, RunState, type CallsMade, type Replica } from '@forge/broker';
import { isAlive, listRunRecords, redisUrlOf, type RunRecord } from '@forge/runs';

const SERVICES = ['coordinator', 'trainer', 'policy', 'reward', 'reference', 'replay-buffer'];
const GIVE_UP_MS = 3_000;

/** `forge status [RUN]`: where running runs stand: step, ledger, queue and replicas. */
export async function status(
  runId: string | undefined,
  { dir, json }: { dir: string; json?: boolean },
): Promise<number> {
  const records = listRunRecords(dir, isAlive).filter(({ id, state }) =>
    runId === undefined ? state === 'running' : id === runId,
  );
  if (runId !== undefined && records.length === 0) {
    process.stderr.write(`forge: no run ${runId} in ${dir}\n`);
    return 2;
  }
  const reports = await Promise.all(records.map(report));
  if (json) process.stdout.write(`${JSON.stringify(reports)}\n`);
  else if (reports.length === 0) process.stdout.write('nothing is running\n');
  else process.stdout.write(`${reports.map(render).join('\n\n')}\n`);
  return 0;
}

type Report = Awaited<ReturnType<typeof report>>;

async function report(record: RunRecord) {
  const { id, recipe, steps, state } = record;
  if (state !== 'running') return { id, recipe, steps, state, live: null };
  const url = redisUrlOf(record);
  const redis = await connectRedis(url, { name: 'forge-status', giveUpAfterMs: GIVE_UP_MS });
  const runState = new RunState(redis, id);
  const registry = new Registry(redis, id);
  const queue = new RolloutQueue(url, id);
  try {
    const [version, { phase }, steering, waitingFor, ledger, jobs, letters, ...replicas] = await Promise.all([
      runState.version(),
      runState.phase(),
      runState.controls.steering(),
      runState.waitingFor(),
      runState.ledger(),
      queue.counts(),
      runState.deadLetters.counts(),
      ...SERVICES.map((service) => registry.list(service)),
    ]);
    const services = Object.fromEntries(SERVICES.map((service, i) => [service, replicas[i]!]));
    const { isPaused } = steering;
    const maxStaleness = Number.isFinite(steering.maxStaleness) ? steering.maxStaleness : '.inf';
    const live = { version, phase, isPaused, maxStaleness, waitingFor, ledger, jobs, letters, services };
    return { id, recipe, steps: steering.steps, state, live };
  } finally {
    runState.close();
    await queue.close();
    redis.disconnect();
  }
}

function render({ id, recipe, steps, state, live }: Report): string {
  if (live === null) return `${id}  ${recipe}  ${state}`;
  const { ledger, jobs, letters, services } = live;
  const discarded = Object.entries(ledger.discarded).map(([reason, count]) => `${count} ${reason}`);
  return [
    `${id}  ${live.phase}  step ${live.version}/${steps}  maxStaleness ${live.maxStaleness}`,
    ...(live.isPaused ? ['  admission is paused (forge unpause)'] : []),
    ...(live.waitingFor === null ? [] : [`  waits for ${live.waitingFor}`]),
    `  groups    ${ledger.admitted} admitted: ${ledger.trained} trained, ${ledger.leased} leased, ${ledger.buffered} buffered, ${ledger.inFlight} in flight, discarded ${discarded.join(', ') || 'none'}${ledger.isBalanced ? '' : '  (DOES NOT ADD UP)'}`,
    `  jobs      ${jobs.waiting ?? 0} waiting, ${jobs.active ?? 0} active, ${jobs.delayed ?? 0} delayed, ${jobs.failed ?? 0} failed, ${letters.kept} dead letters`,
    ...Object.values(services)
      .flat()
      .map((replica) => renderReplica(replica, callsOf(replica, Object.values(services).flat()))),
  ].join('\n');
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

/** What the callers of a replica report of it, one entry per caller. */
function callsOf({ service, replica }: Replica, callers: readonly Replica[]): CallsMade[] {
  return callers
    .flatMap(({ callsMade }) => callsMade)
    .filter((made) => made.service === service && made.replica === replica && made.requests > 0);
}
