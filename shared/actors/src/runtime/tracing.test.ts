import { waitFor } from '@forge/testing';
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base';
import { callContext } from '../actor/call-context';
import { endpoint } from '../actor/endpoint';
import { rootOwner } from '../actor/supervision';
import { Counter } from '../counter.fixture';
import { ForgeActor } from '../forge-actor';
import { inProcessHost } from '../hosts/host';
import { ActorRef, message } from '../mesh/actor-ref';
import { thisProc } from '../mesh/proc-mesh';
import { serveActor } from '../mesh/serve-actor';
import { spawnService } from '../service/spawn-service';
import { connectTo } from '../transports/connections';

const exporter = new InMemorySpanExporter();
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await rootOwner.stopOwned();
  exporter.reset();
});

/** A counter that is called through a socket. */
async function overSocket(): Promise<ActorRef> {
  const served = await serveActor(await thisProc().spawn('counter', Counter), 'unix');
  const channel = await connectTo(served.address);
  closing.push(
    () => served.close(),
    () => channel.close(),
  );
  return new ActorRef({ channel }, served.actor);
}

/** The spans that have ended, once there are so many: the clients', the servers'. */
async function spans(n: number): Promise<{ client: ReadableSpan[]; server: ReadableSpan[] }> {
  await waitFor(`${n} spans`, () => exporter.getFinishedSpans().length >= n);
  expect(exporter.getFinishedSpans()).toHaveLength(n);
  const of = (kind: SpanKind): ReadableSpan[] =>
    [...exporter.getFinishedSpans()].filter((span) => span.kind === kind);
  return { client: of(SpanKind.CLIENT), server: of(SpanKind.SERVER) };
}

/** Passes a call on to another actor. */
class Relay extends ForgeActor {
  @endpoint()
  async relay(): Promise<string | undefined> {
    const counter = await thisProc().spawn('behind', Counter);
    await counter.value.callOne();
    return callContext().headers?.traceparent;
  }
}

describe('without an SDK', () => {
  it('sends nothing along', async () => {
    const service = await spawnService({ hosts: [inProcessHost()] }, Relay);
    expect(await service.relay.choose()).toBeUndefined();
    expect(exporter.getFinishedSpans()).toEqual([]);
  });
});

describe('with an SDK', () => {
  beforeAll(() => {
    const spanProcessors = [new SimpleSpanProcessor(exporter)];
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors }));
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  });

  it('sees a call over a socket as a client span and, below it, a server span', async () => {
    const counter = await overSocket();
    expect(await counter.call(message('add', [2]))).toBe(2);
    const { client, server } = await spans(2);
    expect([client[0]!.name, server[0]!.name]).toEqual(['counter/add', 'counter/add']);
    expect(server[0]!.spanContext().traceId).toBe(client[0]!.spanContext().traceId);
    expect(server[0]!.parentSpanContext?.spanId).toBe(client[0]!.spanContext().spanId);
    expect(client[0]!.attributes).toEqual({
      'rpc.system': 'forge',
      'rpc.service': 'counter',
      'rpc.method': 'add',
    });
    expect(client[0]!.status.code).toBe(SpanStatusCode.UNSET);
  });

  it('marks both when the endpoint fails', async () => {
    const counter = await overSocket();
    await expect(counter.call(message('refuse', []))).rejects.toMatchObject({ code: 'CAPACITY_EXCEEDED' });
    const { client, server } = await spans(2);
    for (const span of [client[0]!, server[0]!]) {
      expect(span.status).toEqual({ code: SpanStatusCode.ERROR, message: 'no' });
      expect(span.attributes['error.type']).toBe('CAPACITY_EXCEEDED');
    }
  });

  it.each([
    ['is read to its end', 3],
    ['is left early', 1],
  ])('ends the spans of a stream that %s', async (_how, items) => {
    const counter = await overSocket();
    let read = 0;
    for await (const item of counter.stream(message('items', [3]))) {
      expect(item).toBe(read);
      if (++read === items && items < 3) break;
    }
    const { client, server } = await spans(2);
    expect([read, client.length, server.length]).toEqual([items, 1, 1]);
    expect(server[0]!.parentSpanContext?.spanId).toBe(client[0]!.spanContext().spanId);
  });

  it('follows calls that an endpoint makes, and those that wait in a queue', async () => {
    const service = await spawnService({ hosts: [inProcessHost()], maxConcurrent: 1 }, Relay);
    const root = trace.getTracer('test').startSpan('root');
    const { traceId } = root.spanContext();
    const first = service.relay.choose();
    const inTrace = context.with(trace.setSpan(context.active(), root), () => service.relay.choose());
    expect(await inTrace).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
    expect(await first).not.toContain(traceId);
    const { client, server } = await spans(8);
    const ofTrace = [...client, ...server].filter((span) => span.spanContext().traceId === traceId);
    expect(ofTrace.map(({ name }) => name.replace(/Relay-\d+_0/, 'relay')).sort()).toEqual([
      'behind/value',
      'behind/value',
      'relay/relay',
      'relay/relay',
    ]);
    root.end();
  });
});
