import { check, rolloutJobSchema, type RolloutJob } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { Queue, UnrecoverableError, Worker, type Job } from 'bullmq';
import { PATIENT } from './connection';
import { runKeys } from './keys';

/** How soon a job of a dead worker is run again: within lock + 2 x stalled interval. */
export interface QueueTiming {
  lockMs: number;
  stalledMs: number;
}

const TIMING: QueueTiming = { lockMs: 10_000, stalledMs: 2_500 };
const ATTEMPTS = 3;
const MAX_STALLED = 3;
const KEPT_COMPLETED = 10_000;

export interface WorkOptions {
  concurrency: number;
  handler: (job: RolloutJob) => Promise<void>;
  /** The job failed for good. */
  onFailed: (job: RolloutJob, reason: string) => Promise<void>;
  onError: (error: Error) => void;
}

/** Durable rollout and evaluation jobs, coordinator to policy. Delivery is at least once; ids make effects once. */
export class RolloutQueue {
  private readonly queue: Queue;
  private worker: Worker | null = null;
  private readonly options: { connection: object; prefix: string };
  private readonly name: string;

  constructor(
    redisUrl: string,
    private readonly runId: string,
    private readonly timing: QueueTiming = TIMING,
  ) {
    const { queuePrefix, rolloutQueue } = runKeys(runId);
    this.name = rolloutQueue;
    this.options = { connection: { url: redisUrl, ...PATIENT }, prefix: queuePrefix };
    this.queue = new Queue(this.name, this.options);
    this.queue.on('error', () => {
      // Reconnects by itself.
    });
  }

  /** Adds jobs; one that was added before is not added again. */
  async add(jobs: readonly RolloutJob[]): Promise<void> {
    await this.queue.addBulk(
      jobs.map((job) => ({
        name: job.kind,
        data: job,
        opts: {
          jobId: jobId(this.runId, job),
          attempts: ATTEMPTS,
          backoff: { type: 'exponential', delay: 500 },
          removeOnComplete: { count: KEPT_COMPLETED, age: 3600 },
          removeOnFail: { count: 1000 },
          // An evaluation is asked of the version that is current now: it goes first.
          lifo: job.kind === 'evaluation',
        },
      })),
    );
  }

  /** Starts to work on jobs, up to `concurrency` at a time. */
  work({ concurrency, handler, onFailed, onError }: WorkOptions): void {
    const run = async (job: Job): Promise<void> => {
      try {
        await handler(check(rolloutJobSchema, job.data, `job ${job.id ?? ''}`));
      } catch (error) {
        const forgeError = ForgeError.from(error);
        if (forgeError.retryClass === 'fatal')
          throw new UnrecoverableError(`${forgeError.code}: ${forgeError.message}`);
        throw error;
      }
    };
    this.worker = new Worker(this.name, run, {
      ...this.options,
      concurrency,
      lockDuration: this.timing.lockMs,
      stalledInterval: this.timing.stalledMs,
      maxStalledCount: MAX_STALLED,
    });
    this.worker.on('error', onError);
    this.worker.on('failed', (job, error) => {
      const isFinal =
        job === undefined || error instanceof UnrecoverableError || job.attemptsMade >= ATTEMPTS;
      const data = rolloutJobSchema.safeParse(job?.data);
      if (isFinal && data.success) void onFailed(data.data, error.message).catch(onError);
    });
  }

  /** Jobs by state. */
  async counts(): Promise<Record<string, number>> {
    return this.queue.getJobCounts('waiting', 'active', 'delayed', 'prioritized', 'failed', 'completed');
  }

  /** Lets the jobs under way finish (unless `force`) and ends the connections. */
  async close(force = false): Promise<void> {
    await this.worker?.close(force);
    await this.queue.close();
  }
}

function jobId(runId: string, job: RolloutJob): string {
  return job.kind === 'rollout' ? `r-${runId}-${job.index}` : `e-${runId}-${job.minVersion}-${job.part}`;
}
