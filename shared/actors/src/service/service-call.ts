import { ForgeError } from '@forge/errors';
import type { CallOptions } from '../mesh/actor-ref';
import type { Fifo } from '../runtime/fifo';
import type { Replica } from './replica';

/** Rights of a call. */
export interface CallTerms {
  readonly service: string;
  readonly endpoint: string;
  readonly args: readonly unknown[];
  readonly options: CallOptions;
  /**
   * Whether another replica will do: never, before the call was started there (`until-started`), or also after its own
   * was lost meanwhile (`always`).
   */
  readonly moves: 'never' | 'until-started' | 'always';
}

/** One call of a service on its way to a replica; it may wait, move and be made again before it is settled. */
export class ServiceCall {
  acceptedAt = 0;
  attempts = 0;
  private readonly deadlineAt: number | null;
  private timer: NodeJS.Timeout | null = null;
  private onAbort: (() => void) | null = null;

  constructor(
    readonly terms: CallTerms,
    private readonly perform: (replica: Replica, timeoutMs: number | undefined) => Promise<unknown>,
    readonly resolve: (result: unknown) => void,
    readonly reject: (error: ForgeError) => void,
    private readonly clock: () => number,
  ) {
    const { timeoutMs } = terms.options;
    this.deadlineAt = timeoutMs === undefined ? null : clock() + timeoutMs;
  }

  run(replica: Replica): Promise<unknown> {
    this.attempts++;
    return this.perform(replica, this.remainingMs());
  }

  /** Waits in `queue` until it is taken out, its time is over, or it is cancelled. */
  waitsIn(queue: Fifo<ServiceCall>, expired: () => ForgeError, dropped: () => void = () => undefined): void {
    const giveUp = (error: ForgeError): void => {
      queue.remove(this);
      this.leavesQueue();
      dropped();
      this.reject(error);
    };
    const remaining = this.remainingMs();
    if (remaining !== undefined)
      this.timer = setTimeout(() => {
        giveUp(expired());
      }, remaining);
    const { signal } = this.terms.options;
    if (signal === undefined) return;
    this.onAbort = () => {
      giveUp(this.cancelled());
    };
    signal.addEventListener('abort', this.onAbort, { once: true });
  }

  leavesQueue(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    if (this.onAbort !== null) this.terms.options.signal?.removeEventListener('abort', this.onAbort);
    this.timer = null;
    this.onAbort = null;
  }

  get isCancelled(): boolean {
    return this.terms.options.signal?.aborted === true;
  }

  cancelled(): ForgeError {
    return new ForgeError('CANCELLED', `${this.where} was cancelled`, { endpoint: this.terms.endpoint });
  }

  get where(): string {
    return `${this.terms.service}.${this.terms.endpoint}`;
  }

  timedOut(): ForgeError {
    const { timeoutMs } = this.terms.options;
    return new ForgeError('TRANSIENT_TIMEOUT', `${this.where} was still queued after ${timeoutMs} ms`, {
      timeoutMs,
    });
  }

  private remainingMs(): number | undefined {
    return this.deadlineAt === null ? undefined : Math.max(1, this.deadlineAt - this.clock());
  }
}
