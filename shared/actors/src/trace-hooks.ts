import type { CallRequest } from './transport';

/** How trace context travels with calls; a tracing library is attached here. */
export interface TraceHooks {
  /** Headers of the active span (`traceparent`, `tracestate`) for a call about to be made. */
  inject(): Readonly<Record<string, string>> | undefined;
  /** Runs an endpoint inside the context its caller's headers describe. */
  run<T>(request: Pick<CallRequest, 'actor' | 'endpoint' | 'headers'>, endpoint: () => T): T;
}

const NONE: TraceHooks = { inject: () => undefined, run: (_request, endpoint) => endpoint() };
let hooks = NONE;

/** Takes effect for all later calls of this process; null attaches nothing. */
export function setTraceHooks(next: TraceHooks | null): void {
  hooks = next ?? NONE;
}

export function traceHooks(): TraceHooks {
  return hooks;
}
