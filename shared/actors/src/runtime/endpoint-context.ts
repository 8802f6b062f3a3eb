import type { CallContext } from '../actor/call-context';
import type { Cancellation } from '../transports/transport';
import type { CallRequest } from '../wire/call-request';

/** The call as its endpoint sees it. The signal is made when the endpoint first asks for it, which most never do. */
export class EndpointContext implements CallContext {
  private controller: AbortController | null = null;

  constructor(
    private readonly request: CallRequest,
    private readonly cancellation: Cancellation,
    /** The contexts of the actor whose signals are in use: they fire as well when the actor stops. */
    private readonly inUse: Set<EndpointContext>,
  ) {}

  get signal(): AbortSignal {
    if (this.controller !== null) return this.controller.signal;
    const controller = new AbortController();
    const { signal } = this.cancellation;
    if (signal.aborted) controller.abort(signal.reason);
    signal.addEventListener(
      'abort',
      () => {
        controller.abort(signal.reason);
      },
      { once: true },
    );
    this.controller = controller;
    this.inUse.add(this);
    return controller.signal;
  }

  get key(): string {
    return this.request.key;
  }

  get session(): string | undefined {
    return this.request.session;
  }

  get headers(): Readonly<Record<string, string>> | undefined {
    return this.request.headers;
  }

  abort(reason: Error): void {
    this.controller?.abort(reason);
  }

  /** The endpoint has ended. */
  close(): void {
    if (this.controller !== null) this.inUse.delete(this);
  }
}
