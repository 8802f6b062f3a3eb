import type { ControlChange, MetricsRow, RunEvents, RunView, SampleRollout } from '../../../src/api';
import { get, RequestProblem, runPath } from './api-client';
import { NOTHING_KNOWN, withEvent, type RunState } from './run-state';

/** `lost`: the server does not answer; it is asked again until it does. */
export type Connection = 'connecting' | 'open' | 'lost';

export interface RunFeedState extends RunState {
  connection: Connection;
  /** Why there is nothing to show: there is no such run, or it can't be read. */
  refusal: RequestProblem | null;
}

const EVENTS = ['view', 'metrics', 'samples', 'controls', 'problem'] as const satisfies (keyof RunEvents)[];
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5_000;

/** Follows a run by server-sent events, and comes back to them when they break off. */
export class RunFeed {
  state: RunFeedState = { ...NOTHING_KNOWN, connection: 'connecting', refusal: null };
  private source: EventSource | null = null;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private retryMs = FIRST_RETRY_MS;
  private frame: number | null = null;
  private isClosed = false;

  /** `changed` is told once before a frame is drawn, however many events came; never while the page is out of sight. */
  constructor(
    private readonly id: string,
    private readonly changed: (state: RunFeedState) => void,
  ) {
    void this.open();
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.retry);
    if (this.frame !== null) cancelAnimationFrame(this.frame);
    this.source?.close();
  }

  private async open(): Promise<void> {
    const path = runPath(this.id);
    const last = this.state.rows.at(-1)?.step;
    try {
      const [view, metrics, samples, controls] = await Promise.all([
        get<RunView>(path),
        get<MetricsRow[]>(`${path}/metrics${last === undefined ? '' : `?after=${last}`}`),
        get<SampleRollout[]>(`${path}/samples?limit=40`),
        get<ControlChange[]>(`${path}/controls`),
      ]);
      this.take('metrics', metrics);
      this.take('view', view);
      this.take('samples', samples);
      this.take('controls', controls);
    } catch (error) {
      if (error instanceof RequestProblem && !error.isPassing)
        this.update({ refusal: error, connection: 'open' });
      else this.lose();
      return;
    }
    if (!this.isClosed) this.listen();
  }

  private listen(): void {
    const after = this.state.rows.at(-1)?.step ?? -1;
    const source = new EventSource(`/api${runPath(this.id)}/events?after=${after}`);
    this.source = source;
    for (const name of EVENTS)
      source.addEventListener(name, (event: MessageEvent<string>) =>
        this.take(name, JSON.parse(event.data) as never),
      );
    source.onopen = () => {
      this.retryMs = FIRST_RETRY_MS;
      this.update({ connection: 'open', refusal: null });
    };
    // The browser would come back by itself, but not after every kind of end, and ask for what is known again.
    source.onerror = () => {
      source.close();
      this.lose();
    };
  }

  private lose(): void {
    if (this.isClosed) return;
    this.update({ connection: 'lost' });
    clearTimeout(this.retry);
    this.retry = setTimeout(() => void this.open(), this.retryMs);
    this.retryMs = Math.min(LAST_RETRY_MS, 2 * this.retryMs);
  }

  private take<Name extends keyof RunEvents>(name: Name, data: RunEvents[Name]): void {
    this.update(withEvent(this.state, name, data));
  }

  private update(changes: Partial<RunFeedState>): void {
    if (this.isClosed) return;
    this.state = { ...this.state, ...changes };
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.changed(this.state);
    });
  }
}
