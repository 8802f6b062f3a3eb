/** One call, as it travels. */
export interface CallRequest {
  /** The actor, of those that live in the process, that is called. */
  actor: string;
  endpoint: string;
  args: readonly unknown[];
  /** The same for every attempt of one call: what guards an effect by it happens once. */
  key: string;
  /** Milliseconds until the caller gives up; left out: it waits. */
  timeoutMs?: number;
  /** The sticky session the call belongs to. */
  session?: string;
  /** Trace context (`traceparent`, `tracestate`). */
  headers?: Readonly<Record<string, string>>;
}
