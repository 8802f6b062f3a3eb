import type { ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { asked } from './asked';
import { HttpProblem } from './http-problem';
import type { Sources } from './read-routes';
import { RunFiles } from './run-files';
import type { RunEvent } from './run-watcher';

/** Most streams of all runs together. */
const MOST_CLIENTS = 100;
const HEARTBEAT_MS = 15_000;
/** A client that has not taken in for so long what it was told is cut off; it comes again by itself. */
const SLOWEST_MS = 60_000;

const run = z.object({ id: z.string() });
const step = z.coerce.number().pipe(z.int().min(-1));
const query = z.strictObject({ after: step.optional() });

/**
 * Server-sent events of a run, first the whole view. Events of metrics have the newest step as their id: a client that comes
 * back by `Last-Event-ID`, or with `?after=STEP`, is told the rows it missed.
 */
export function eventStream(http: FastifyInstance, { catalog, watchers }: Sources): void {
  const clients = new Set<() => void>();
  http.addHook('preClose', (done) => {
    for (const leave of [...clients]) leave();
    done();
  });

  http.get('/api/runs/:id/events', async (request, reply) => {
    const { id } = asked(run, request.params, 'path');
    const { after = asked(step.optional().catch(undefined), request.headers['last-event-id'], 'header') } =
      asked(query, request.query, 'query');
    if (clients.size >= MOST_CLIENTS)
      throw new HttpProblem(503, 'CAPACITY_EXCEEDED', `${MOST_CLIENTS} pages listen already`);
    const watcher = watchers.of(id);
    // From here on nothing that is added to the files is missed.
    await watcher.view();
    const missed = after === undefined ? [] : await new RunFiles(catalog.find(id).directory).metrics(after);

    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    const client = new Client(raw);
    const tell = (event: RunEvent): void => client.tell(event);
    const stop = watcher.listen(tell);
    if (missed.length > 0) tell({ name: 'metrics', data: missed });
    const heartbeat = setInterval(() => client.beat(), HEARTBEAT_MS);
    const leave = (): void => {
      clearInterval(heartbeat);
      clients.delete(leave);
      stop();
      raw.end();
    };
    clients.add(leave);
    raw.on('close', leave);
    raw.on('error', leave);
  });
}

/** A page that listens. To one that is slow not every view is told, but the newest. */
class Client {
  private lateView: RunEvent | null = null;
  private slowSinceMs: number | null = null;

  constructor(private readonly raw: ServerResponse) {
    raw.on('drain', () => {
      this.slowSinceMs = null;
      const view = this.lateView;
      this.lateView = null;
      if (view !== null) this.tell(view);
    });
  }

  tell(event: RunEvent): void {
    if (event.name === 'view' && this.slowSinceMs !== null) this.lateView = event;
    else this.write(textOf(event));
  }

  beat(): void {
    this.write(': still here\n\n');
  }

  private write(text: string): void {
    if (this.raw.destroyed) return;
    if (!this.raw.write(text)) this.slowSinceMs ??= Date.now();
    if (this.slowSinceMs !== null && Date.now() - this.slowSinceMs > SLOWEST_MS) this.raw.destroy();
  }
}

function textOf({ name, data }: RunEvent): string {
  const id = name === 'metrics' ? `id: ${data.at(-1)?.step ?? -1}\n` : '';
  return `${id}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
