import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttp, type IncomingMessage } from 'node:http';
import { createServer as createHttp2, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { join, sep } from 'node:path';
import { spansOfRequest, traceIds, type RecordedSpan } from '@forge/telemetry';
import { tracesOfProtobuf } from './otlp-protobuf.fixture';

const EXPORT = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
const T = 1_700_000_000_000;
const rollout = traceIds('run', 'rollout', 7);
const step = traceIds('run', 'step', 2);
const spanId = expect.stringMatching(/^[0-9a-f]{16}$/) as string;
const ofPolicy = { service: 'policy', replica: '3' };
const ofRollout = { ...ofPolicy, traceId: rollout.traceId, parentId: rollout.spanId, spanId };

/** Spans of the work of `trace-export.fixture`. */
const SPANS: RecordedSpan[] = [
  {
    ...ofRollout,
    ...{ name: 'attempt', kind: 5, startMs: T + 0.5, endMs: T + 9, error: null },
    attributes: { text: 'é "x"', whole: -3, part: 0.25, yes: true, list: ['a', 'b'] },
    events: [
      { name: 'chunk', atMs: T + 3.25, attributes: { tokens: 7 } },
      { name: 'bare', atMs: T + 4, attributes: {} },
    ],
    links: [{ ...step, attributes: { step: 2, why: 'batch' } }],
  },
  {
    ...ofRollout,
    ...{ name: 'failing', kind: 1, startMs: T, endMs: T + 1.125, events: [], links: [] },
    ...{ attributes: { 'error.type': 'BUG_INVARIANT' }, error: 'boom' },
  },
  {
    ...{ ...ofPolicy, ...step, parentId: null },
    ...{ name: 'step', kind: 1, startMs: T, endMs: T + 20, events: [], links: [] },
    ...{ attributes: {}, error: null },
  },
];

const servers: Server[] = [];
let requests: { path: string | undefined; contentType: string | undefined; spans: RecordedSpan[] }[];
beforeEach(() => {
  requests = [];
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(server: Server): Promise<string> {
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function bytesOf(stream: IncomingMessage | ServerHttp2Stream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Takes traces as a collector does at its port 4318. */
function httpCollector(): Promise<string> {
  const server = createHttp((request, response) => {
    void bytesOf(request).then((bytes) => {
      const contentType = request.headers['content-type'];
      const isJson = contentType === 'application/json';
      const spans = spansOfRequest(isJson ? bytes.toString() : tracesOfProtobuf(bytes));
      requests.push({ path: request.url, contentType, spans });
      response.writeHead(200, { 'content-type': contentType }).end(isJson ? '{}' : '');
    });
  });
  return listen(server);
}

/**
 * Takes traces as a collector does at its port 4317: a message is framed by a byte that says whether it is compressed,
 * and by its length.
 */
function grpcCollector(): Promise<string> {
  const server = createHttp2();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    void bytesOf(stream).then((bytes) => {
      const framed = bytes.subarray(5);
      expect([bytes[0], bytes.readUInt32BE(1)]).toEqual([0, framed.length]);
      requests.push({
        path: headers[':path'],
        contentType: headers['content-type'],
        spans: spansOfRequest(tracesOfProtobuf(framed)),
      });
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.alloc(5));
    });
  });
  return listen(server);
}

/** Exports from a process of its own: the exporters import in a way that jest does not know. */
async function traced(variables: Record<string, string>): Promise<{ printed: string; warnings: unknown[] }> {
  const script = join(__dirname.replace(`${sep}src`, `${sep}dist`), 'trace-export.fixture.js');
  const child = fork(script, [], { env: { PATH: process.env.PATH, ...variables }, silent: true });
  const warnings: unknown[] = [];
  let printed = '';
  child.on('message', (warning) => warnings.push(warning));
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (bytes: Buffer) => (printed += bytes.toString()));
  expect(await once(child, 'close')).toEqual([0, null]);
  return { printed, warnings };
}

describe('spans of a service', () => {
  it.each([
    [{}, httpCollector, '/v1/traces', 'application/json'],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, httpCollector, '/v1/traces', 'application/json'],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' }, httpCollector, '/v1/traces', 'application/x-protobuf'],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, grpcCollector, EXPORT, 'application/grpc'],
    [
      { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf', OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'grpc' },
      ...([grpcCollector, EXPORT, 'application/grpc'] as const),
    ],
  ])('reach a collector unharmed with %j', async (variables, collector, path, contentType) => {
    const told = await traced({ OTEL_EXPORTER_OTLP_ENDPOINT: await collector(), ...variables });
    expect(told).toEqual({ printed: '', warnings: [] });
    // The first asks whether there is a collector.
    expect(requests).toEqual([
      { path, contentType, spans: [] },
      { path, contentType, spans: SPANS },
    ]);
  });

  it('are printed with their names and ids by console', async () => {
    const { printed, warnings } = await traced({ OTEL_TRACES_EXPORTER: 'console' });
    expect(warnings).toEqual([]);
    const [attempt, failing, root, ...more] = printed.split(/^}\n/m);
    expect(more).toEqual(['']);
    expect(attempt).toMatch(
      new RegExp(
        `traceId: '${rollout.traceId}'.*spanId: '${rollout.spanId}'.*name: 'attempt'.*\\n  id: '[0-9a-f]{16}'.*tokens: 7.*spanId: '${step.spanId}'`,
        's',
      ),
    );
    expect(failing).toMatch(/name: 'failing'.*status: { code: 2, message: 'boom' }/s);
    expect(root).toMatch(
      new RegExp(
        `traceId: '${step.traceId}'.*parentSpanContext: undefined.*name: 'step'.*\\n  id: '${step.spanId}'`,
        's',
      ),
    );
  });
});
