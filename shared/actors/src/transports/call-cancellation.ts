import type { Cancellation } from './transport';

/** The cancellation of one call, for the transport that carries it. */
export class CallCancellation implements Cancellation {
  private controller: AbortController | null = null;
  private reason: unknown = null;
  private cancelled = false;

  get isCancelled(): boolean {
    return this.cancelled;
  }

  get signal(): AbortSignal {
    if (this.controller === null) {
      this.controller = new AbortController();
      if (this.cancelled) this.controller.abort(this.reason);
    }
    return this.controller.signal;
  }

  cancel(reason: unknown): void {
    if (this.cancelled) return;
    this.cancelled = true;
    this.reason = reason;
    this.controller?.abort(reason);
  }
}
