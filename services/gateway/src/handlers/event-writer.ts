import type { ServerResponse } from 'node:http';
import type { StreamEvent } from '../dialects/dialect';

/** Proxies and clients take a connection that is silent for long for lost. */
const BEAT_MS = 10_000;

/** Writes server-sent events as the answer to a request. */
export class EventWriter {
  private hasBegun = false;
  private readonly beats: NodeJS.Timeout;

  constructor(
    private readonly raw: ServerResponse,
    private readonly headers: Record<string, string>,
  ) {
    this.beats = setInterval(() => {
      if (this.hasBegun && !raw.destroyed) raw.write(': still here\n\n');
    }, BEAT_MS);
  }

  /** Whether the client has been told that the answer comes. */
  get isOpen(): boolean {
    return this.hasBegun;
  }

  write(events: readonly StreamEvent[]): void {
    if (this.raw.destroyed || events.length === 0) return;
    if (!this.hasBegun) this.begin();
    this.raw.write(events.map(textOf).join(''));
  }

  end(): void {
    clearInterval(this.beats);
    if (this.hasBegun) this.raw.end();
  }

  private begin(): void {
    this.hasBegun = true;
    this.raw.writeHead(200, {
      ...this.headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
  }
}

function textOf({ event, data }: StreamEvent): string {
  const name = event === undefined ? '' : `event: ${event}\n`;
  return `${name}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
}
