import { ForgeError } from '@forge/errors';
import type { ServerFault } from './server-fault';

/** The passing of time, which tests replace. */
export interface Clock {
  now(): number;
  /** Rejects once the signal fires. */
  sleep(ms: number, signal: AbortSignal): Promise<unknown>;
}

const FIRST_DELAY_MS = 100;
const LAST_DELAY_MS = 5_000;
/** Failures of the server at one request, which it answers with 500, until its job has failed. */
const FAILURES = 3;

/** Waits between the attempts at one request, until it has taken too long. */
export class Patience {
  private sinceMs: number | null = null;
  private attempts = 0;
  private failures = 0;

  constructor(
    private readonly address: string,
    private readonly waitMs: number,
    private readonly clock: Clock,
  ) {}

  /** Begins anew: the server has answered. */
  renew(): void {
    this.sinceMs = null;
    this.attempts = 0;
    this.failures = 0;
  }

  /**
   * Waits after a failure for as long as the server asks, else longer each time.
   *
   * @throws {ForgeError} TRANSIENT_GENERATOR_UNREACHABLE once that takes too long; TRANSIENT_GENERATOR_FAILED once the server
   *   has failed at the request several times.
   */
  async wait(fault: ServerFault, signal: AbortSignal): Promise<void> {
    const now = this.clock.now();
    this.sinceMs ??= now;
    this.attempts += 1;
    if (fault.isOfRequest) this.failures += 1;
    const delayMs = fault.delayMs ?? Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** (this.attempts - 1));
    const isFailed = this.failures >= FAILURES;
    if (isFailed || now - this.sinceMs + delayMs > this.waitMs) throw this.given(fault, isFailed);
    await this.clock.sleep(delayMs, signal);
  }

  private given({ message: why }: ServerFault, isFailed: boolean): ForgeError {
    const { address, attempts } = this;
    const what = `${address} ${why}, after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`;
    const details = { url: address, why, attempts };
    return isFailed
      ? new ForgeError('TRANSIENT_GENERATOR_FAILED', `${what}; look at its log`, details)
      : new ForgeError(
          'TRANSIENT_GENERATOR_UNREACHABLE',
          `${what}; start it, or correct its url in policy.engine; waitSeconds there is how long is waited`,
          details,
        );
  }
}
