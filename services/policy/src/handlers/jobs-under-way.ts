import { setMaxListeners } from 'node:events';
import { ForgeError } from '@forge/errors';

/** A job while it is done. */
export interface JobUnderWay {
  /** Fires when the job is ended without a result. */
  readonly signal: AbortSignal;
  /** Oldest version that its tokens can be of; null before the first are asked for, and where it does not matter. */
  oldest: number | null;
}

/** The jobs that a policy does, which can be ended without a result. */
export class JobsUnderWay {
  private readonly jobs = new Map<JobUnderWay, (error: ForgeError) => void>();
  private ended: ForgeError | null = null;

  /** Result of the work, or the error that it is ended with. */
  do(work: (job: JobUnderWay) => Promise<void>): Promise<void> {
    if (this.ended !== null) return Promise.reject(this.ended);
    // No race with a promise that lasts: it would keep what every job came to.
    return new Promise((resolve, reject) => {
      const ending = new AbortController();
      // Each of the calls of a job listens.
      setMaxListeners(0, ending.signal);
      const job: JobUnderWay = { signal: ending.signal, oldest: null };
      this.jobs.set(job, (error) => {
        ending.abort(error);
        reject(error);
      });
      void work(job)
        .then(resolve, reject)
        .finally(() => this.jobs.delete(job));
    });
  }

  /** Ends all jobs, those to come as well. */
  end(error: ForgeError): void {
    this.ended = error;
    for (const end of this.jobs.values()) end(error);
  }

  /** Ends the jobs that can only be too old for the bound when they are done, with STALE_EPISODE. */
  endStale(version: number, maxStaleness: number): void {
    for (const [{ oldest }, end] of this.jobs) {
      if (oldest === null || version - oldest <= maxStaleness) continue;
      const message = `tokens of version ${oldest} are older than maxStaleness ${maxStaleness} allows at version ${version}`;
      end(new ForgeError('STALE_EPISODE', message, { oldest, version, maxStaleness }));
    }
  }
}
