import {
  connectRedis,
  queueGauges,
  readBacklog,
  Registry,
  openRolloutQueue,
  type RolloutQueue,
  RunState,
  withoutPassword,
  type Redis,
} from '@forge/broker';
import { SCALABLE_SERVICES, stepShare, type StepProgress } from '@forge/contracts';
import { ForgeError, within } from '@forge/errors';
import { isSlowStep, readLiveRun, redisUrlOf, stepProgressWords, type RunRecord } from '@forge/runs';
import type { Ledger, LiveView, ReplicaView, StepView } from '../api';

export interface LiveAccess {
  redis: Redis;
  runState: RunState;
  registry: Registry;
  queue: RolloutQueue;
}

/** A run at a moment, by Redis. */
export interface LiveLook {
  live: LiveView;
  ledger: Ledger;
  /** Depths and ages of what waits, by the names of docs/metrics.md. */
  queues: Readonly<Record<string, number>>;
  /** Calls that were answered so far, by service. */
  calls: Readonly<Record<string, number>>;
}

/** A Redis that takes longer is away. */
const ANSWERS_WITHIN_MS = 2_000;
const CONNECTS_WITHIN_MS = 1_500;
/** A replica that has been silent for longer is not shown any more. */
const FORGOTTEN_MS = 60_000;

/** The state of a running run. A Redis that is away is waited for, without more and more questions to it. */
export class LiveRun {
  private access: Promise<LiveAccess> | null = null;
  private looking: Promise<LiveLook> | null = null;
  private isClosed = false;

  constructor(private readonly record: RunRecord) {}

  /** @throws {ForgeError} TRANSIENT_REDIS_UNREACHABLE, or whatever keeps it from being read. */
  look(): Promise<LiveLook> {
    this.looking ??= this.readAll().finally(() => (this.looking = null));
    return this.within(this.looking);
  }

  /**
   * Gives `work` the state of the run.
   *
   * @throws {ForgeError} TRANSIENT_REDIS_UNREACHABLE, before anything is sent when Redis is known to be away.
   */
  async use<T>(work: (access: LiveAccess) => Promise<T>): Promise<T> {
    const access = await this.within(this.connected());
    await this.within(access.redis.ping());
    return this.within(work(access));
  }

  close(): void {
    this.isClosed = true;
    const { access } = this;
    this.access = null;
    void access?.then(end, () => undefined);
  }

  private connected(): Promise<LiveAccess> {
    if (this.isClosed) return Promise.reject(new ForgeError('CANCELLED', 'nobody looks at the run any more'));
    this.access ??= connect(this.record).catch((error: unknown) => {
      this.access = null;
      throw error;
    });
    return this.access;
  }

  private within<T>(answer: Promise<T>): Promise<T> {
    return within(ANSWERS_WITHIN_MS, answer, () => {
      const url = withoutPassword(this.record.redisUrl);
      throw new ForgeError('TRANSIENT_REDIS_UNREACHABLE', `Redis at ${url} does not answer`, { url });
    });
  }

  private async readAll(): Promise<LiveLook> {
    const { redis, runState, registry, queue } = await this.connected();
    const [stand, wanted, queues, starts] = await Promise.all([
      readLiveRun(runState, registry),
      runState.controls.wanted(),
      queueGauges(queue, () => readBacklog(redis, runState.keys)),
      registry.starts(),
    ]);
    const { version, phase, isPaused, maxStaleness, steps, waitingFor, progress, ledger } = stand;
    const all = Object.values(stand.replicas).flat();
    const calls: Record<string, number> = {};
    for (const { service, requests } of all.flatMap(({ callsMade }) => callsMade))
      calls[service] = (calls[service] ?? 0) + requests;
    return {
      live: {
        atMs: Date.now(),
        version,
        step: phase === 'running' ? stepView(progress) : null,
        phase,
        waitingFor,
        maxStaleness: Number.isFinite(maxStaleness) ? maxStaleness : null,
        steps,
        isPaused,
        replicas: all
          .filter(({ silentMs }) => silentMs < FORGOTTEN_MS)
          .map((one) => replicaView(one, starts)),
        wanted: Object.fromEntries(
          [...wanted.replicas].filter(([service]) => SCALABLE_SERVICES.some((name) => name === service)),
        ),
        deadLetters: stand.deadLetters.kept,
      },
      ledger: { ...ledger, discarded: { ...ledger.discarded } },
      queues,
      calls,
    };
  }
}

async function connect(record: RunRecord): Promise<LiveAccess> {
  const url = redisUrlOf(record);
  const redis = await connectRedis(url, { name: 'forge-dashboard', giveUpAfterMs: CONNECTS_WITHIN_MS });
  const runState = new RunState(redis, record.id);
  try {
    await runState.config();
  } catch (error) {
    redis.disconnect();
    throw error;
  }
  return {
    redis,
    runState,
    registry: new Registry(redis, record.id),
    queue: await openRolloutQueue(url, record.id),
  };
}

function end({ redis, runState, queue }: LiveAccess): void {
  runState.close();
  redis.disconnect();
  // The end does not wait for a Redis that is away.
  void queue.close().catch(() => undefined);
}

function stepView(progress: StepProgress | null): StepView | null {
  if (progress === null || !isSlowStep(progress)) return null;
  return { step: progress.step, share: stepShare(progress), text: stepProgressWords(progress) };
}

type Registered = Awaited<ReturnType<Registry['all']>>[number];

function replicaView(
  { service, replica, isReady, isAlive, pid, url, silentMs }: Registered,
  starts: ReadonlyMap<string, number>,
): ReplicaView {
  const restarts = Math.max(0, (starts.get(`${service}/${replica}`) ?? 0) - 1);
  return { service, replica, isReady: isReady && isAlive, pid, url, silentMs, restarts };
}
