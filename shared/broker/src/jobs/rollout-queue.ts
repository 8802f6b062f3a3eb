import { setTimeout as sleep } from 'node:timers/promises';
import { check, rolloutJobSchema, type RolloutJob } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { DelayedError, Queue, UnrecoverableError, WaitingError, Worker, type Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { putBackAbandoned } from './abandoned-jobs';
import { isClusterAddress, openConnection, PATIENT } from '../redis/open-connection';
import type { Failure } from '../refused/dead-letters';
import { removeUnreadable, soon, type UnreadableJob } from './unreadable-jobs';
import { runKeys } from '../keys';

/**
 * Time until a job of a dead worker without a successor of its name runs again: within lock + 2 x stalled interval. A
 * worker must be able to renew its locks twice within `lockMs`.
 */
export interface QueueTiming {
  lockMs: number;
  stalledMs: number;
}

const TIMING: QueueTiming = { lockMs: 5_000, stalledMs: 1_000 };
const BACKOFF_MS = 500;
/**
 * Workers that may die with a job: their death is no fault of most jobs, but one that kills them is to be given up before they
 * are started too often (`limits.restartsPerMinute`, 10 unless given).
 */
const MAX_DEATHS = 8;

export interface QueueLimits {
  /** How often a job is tried. */
  attempts: number;
  /** Completed jobs kept; adding one of these again is a no-op. */
  keptCompleted: number;
}

const LIMITS: QueueLimits = { attempts: 3, keptCompleted: 10_000 };

/** A job that failed for good. */
export interface JobFailure extends Failure {
  jobId: string;
  /** Null when its data make no sense. */
  job: RolloutJob | null;
  /** The group it was for, also when only its id says so. */
  index: number | null;
  /** Since the epoch: when it was added; null when that can't be told. */
  queuedAtMs: number | null;
}

/** History of a job up to this attempt. */
export interface Delivery {
  /** Counts from 1, also those whose worker died. */
  attempt: number;
  /** Since the epoch: when it was added, and when this attempt began. */
  queuedAtMs: number;
  startedAtMs: number;
}

export interface WorkOptions {
  /** Name of this worker, which its successor takes on: it puts the jobs back that this one dies with. */
  name: string;
  concurrency: number;
  /**
   * Does a job. What it throws decides: a fatal `ForgeError` fails the job for good, CANCELLED puts it back without
   * counting the attempt, anything else counts as one of its attempts.
   */
  handler: (job: RolloutJob, delivery: Delivery) => Promise<void>;
  /** The job fails for good; may be told twice of the same one. */
  onFailed: (failure: JobFailure) => Promise<void>;
  /** A job that makes no sense has failed. */
  onRefused?: (why: ForgeError) => void;
  onError: (error: Error) => void;
}

/** Durable rollout and evaluation jobs, coordinator to policy. Delivery is at least once; ids make effects once. */
export class RolloutQueue {
  private readonly queue: Queue;
  private worker: Worker | null = null;
  private readonly options: { connection: object; prefix: string };
  private readonly shared: Redis | null;
  private readonly name: string;
  /** Calls of `onFailed` under way. */
  private readonly telling = new Set<Promise<void>>();
  private stopPuttingBack: () => void = () => undefined;
  private isClosed = false;

  constructor(
    private readonly redisUrl: string,
    private readonly runId: string,
    private readonly timing: QueueTiming = TIMING,
    private readonly limits: QueueLimits = LIMITS,
  ) {
    const { queuePrefix, rolloutQueue } = runKeys(runId);
    this.name = rolloutQueue;
    // BullMQ opens connections of its own but to a cluster.
    this.shared = isClusterAddress(redisUrl) ? openConnection(redisUrl) : null;
    this.shared?.on('error', () => {
      // Reconnects by itself.
    });
    this.options = { connection: this.shared ?? { url: redisUrl, ...PATIENT }, prefix: queuePrefix };
    this.queue = new Queue(this.name, this.options);
    this.queue.on('error', () => {
      // Reconnects by itself.
    });
  }

  /**
   * Adds jobs; one that waits, is under way or is done is not added again, one that failed for good is run again.
   * Waits for a lost Redis.
   */
  async add(jobs: readonly RolloutJob[]): Promise<void> {
    const added = jobs.map((job) => ({
      name: job.kind,
      data: job,
      opts: {
        jobId: jobId(this.runId, job),
        ...this.jobOptions,
        // An evaluation is asked of the version that is current now: it goes first.
        lifo: job.kind === 'evaluation',
      },
    }));
    for (;;) {
      try {
        await this.queue.addBulk(added);
        return;
      } catch (error) {
        // The jobs travel as one pipeline, which ioredis may give up with the connection; the ids make a repetition safe.
        if (this.isClosed || !isLostConnection(error)) throw error;
        await sleep(BACKOFF_MS);
      }
    }
  }

  private get jobOptions() {
    return {
      attempts: this.limits.attempts,
      backoff: { type: 'exponential', delay: BACKOFF_MS },
      removeOnComplete: { count: this.limits.keptCompleted, age: 3600 },
      // A kept failed job would make adding it again a no-op, and its group would wait for ever.
      removeOnFail: true,
    };
  }

  /** Adds jobs that were there before, done or not; those that a worker works on are left to it. */
  async addAgain(jobs: readonly RolloutJob[]): Promise<void> {
    await Promise.all(jobs.map((job) => this.queue.remove(jobId(this.runId, job))));
    await this.add(jobs);
  }

  /** Starts to work on jobs, up to `concurrency` at a time. */
  work({ name, concurrency, handler, onFailed, onRefused, onError }: WorkOptions): void {
    const told = new WeakSet<Job>();
    const doing = new Set<string>();
    const say = (failure: JobFailure): Promise<void> => {
      const call = onFailed(failure).finally(() => this.telling.delete(call));
      this.telling.add(call);
      return call;
    };
    const tell = async (job: Job, error: ForgeError, attempts = job.attemptsMade + 1): Promise<void> => {
      told.add(job);
      const { id = '', data, timestamp } = job;
      await say(this.failureOf(id, data, timestamp, attempts, error));
      if (isOfJob(error.details)) onRefused?.(error);
    };
    /** A worker that leaves takes on nothing more: another one has the job at once. */
    const leave = async (job: Job, why: string, token?: string): Promise<never> => {
      await job.moveToWait(token);
      throw new WaitingError(why);
    };
    const run = async (job: Job, token?: string): Promise<void> => {
      // It was on its way when the worker was closed.
      if (this.isClosed) await leave(job, 'the worker is closed', token);
      doing.add(job.id ?? '');
      // The options here replace those it was added with.
      Object.assign(job.opts, this.jobOptions);
      try {
        await handler(check(rolloutJobSchema, job.data, `job ${job.id ?? ''}`), deliveryOf(job));
      } catch (error) {
        const failure = ForgeError.from(error);
        const { code, message, retryClass } = failure;
        if (code === 'CANCELLED') {
          if (this.isClosed) await leave(job, message, token);
          await job.moveToDelayed(Date.now() + BACKOFF_MS, token);
          throw new DelayedError(message);
        }
        const isFatal = retryClass === 'fatal';
        // Told before BullMQ drops the job: a death in between runs it again instead of losing it.
        if (isFatal || job.attemptsMade + 1 >= this.limits.attempts) await tell(job, failure);
        throw isFatal ? new UnrecoverableError(`${code}: ${message}`) : error;
      } finally {
        doing.delete(job.id ?? '');
      }
    };
    this.worker = new Worker(this.name, run, {
      ...this.options,
      name,
      concurrency,
      lockDuration: this.timing.lockMs,
      stalledInterval: this.timing.stalledMs,
      maxStalledCount: MAX_DEATHS,
    });
    const redis = openConnection(this.redisUrl);
    redis.on('error', () => {
      // Reconnects by itself.
    });
    const lookForUnreadable = soon(async () => {
      const giveUp = ({ id, payload, why }: UnreadableJob) => say(this.failureOf(id, payload, null, 1, why));
      if (!this.isClosed) await removeUnreadable(this.queue, redis, giveUp, (why) => onRefused?.(why));
    }, onError);
    this.worker.on('error', (error) => {
      onError(error);
      lookForUnreadable();
    });
    this.stopPuttingBack = putBackAbandoned({
      queue: this.queue,
      redis,
      worker: name,
      isDoing: (id) => doing.has(id),
      maxDeaths: MAX_DEATHS,
      onError,
    });
    // A job whose workers died too often fails without being run.
    this.worker.on('failed', (job, error) => {
      const isFinal = error instanceof UnrecoverableError;
      if (!isFinal || job === undefined || told.has(job)) return;
      const { attemptsMade, stalledCounter: deaths } = job;
      const message = `${deaths} policies died while they had this job: it, or another one that they had at the time, seems to kill them`;
      const why = new ForgeError('TRANSIENT_REPLICA_LOST', deaths > MAX_DEATHS ? message : error.message);
      // The last attempt was failed without being made.
      void tell(job, why, attemptsMade - 1 + deaths).catch(onError);
    });
  }

  private failureOf(
    jobId: string,
    jobData: unknown,
    queuedAtMs: number | null,
    attempts: number,
    { code, message, details }: ForgeError,
  ): JobFailure {
    const parsed = rolloutJobSchema.safeParse(jobData);
    const data = parsed.success ? parsed.data : null;
    const prefix = `r-${this.runId}-`;
    const index = jobId.startsWith(prefix) ? Number(jobId.slice(prefix.length)) : Number.NaN;
    return {
      jobId,
      job: data,
      index: Number.isInteger(index) ? index : null,
      queuedAtMs,
      code,
      message,
      attempts,
      payload: textOf(jobData),
      ...(isOfJob(details) && { reason: details.reason }),
    };
  }

  /** The queue as BullMQ has it, for tools of theirs that show it. */
  get bullQueue(): Queue {
    return this.queue;
  }

  /** Jobs by state. */
  async counts(): Promise<Record<string, number>> {
    return this.queue.getJobCounts('waiting', 'active', 'delayed', 'prioritized', 'failed', 'completed');
  }

  /** Time the next job has waited; 0 when none waits, or it makes no sense: the worker that takes it refuses it. */
  async waitingMs(): Promise<number> {
    const [next] = await this.queue.getWaiting(0, 0).catch((error: unknown) => {
      if (error instanceof SyntaxError || error instanceof TypeError) return [];
      throw error;
    });
    const waitedMs = Date.now() - (next?.timestamp ?? NaN);
    return Number.isFinite(waitedMs) ? Math.max(0, waitedMs) : 0;
  }

  /** Lets the jobs under way finish (unless `force`) and ends the connections. */
  async close(force = false): Promise<void> {
    this.isClosed = true;
    this.stopPuttingBack();
    await this.worker?.close(force);
    if (!force) await Promise.allSettled(this.telling);
    await this.queue.close();
    this.shared?.disconnect();
  }
}

function deliveryOf({ attemptsStarted, timestamp, processedOn = Date.now() }: Job): Delivery {
  return { attempt: Math.max(1, attemptsStarted), queuedAtMs: timestamp, startedAtMs: processedOn };
}

/** Whether it is the job that makes no sense, and not something that it came upon. */
function isOfJob(details: Readonly<Record<string, unknown>>): details is { what: string; reason: string } {
  const { what, reason } = details;
  return typeof what === 'string' && what.startsWith('job') && typeof reason === 'string';
}

/** JSON of data that may be nested too deep for it. */
function textOf(data: unknown): string {
  if (typeof data === 'string') return data;
  try {
    return JSON.stringify(data) ?? '';
  } catch (error) {
    return String(error);
  }
}

function jobId(runId: string, job: RolloutJob): string {
  return job.kind === 'rollout' ? `r-${runId}-${job.index}` : `e-${runId}-${job.minVersion}-${job.part}`;
}

/** Errors of a command whose connection went away, or whose script the new Redis does not know yet. */
function isLostConnection(error: unknown): boolean {
  return (
    error instanceof Error &&
    (error.name === 'AbortError' || /connection (is |was )?close|ECONN|EPIPE|^NOSCRIPT/i.test(error.message))
  );
}
