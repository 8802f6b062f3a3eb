import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MlflowSink } from './mlflow-sink';

interface Request {
  path: string;
  authorization: string | undefined;
  body: Record<string, unknown>;
}

let server: Server;
let uri: string;
let dir: string;
let requests: Request[];
let hasExperiment: boolean;
let isDown: boolean;

/** Answers as MLflow 2 and 3 document it. */
beforeEach(async () => {
  requests = [];
  [hasExperiment, isDown] = [false, false];
  dir = mkdtempSync(join(tmpdir(), 'forge-mlflow-'));
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const path = (request.url ?? '').replace('/api/2.0/mlflow/', '');
      const { authorization } = request.headers;
      requests.push({ path, authorization, body: text === '' ? {} : (JSON.parse(text) as never) });
      const [status, body] = answerTo(path);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(dir, { recursive: true });
});

function answerTo(path: string): [number, unknown] {
  if (isDown) return [503, 'busy'];
  switch (path) {
    case 'experiments/get-by-name?experiment_name=my%20experiment':
      return hasExperiment
        ? [200, { experiment: { experiment_id: '7' } }]
        : [404, { error_code: 'RESOURCE_DOES_NOT_EXIST' }];
    case 'experiments/create':
      return [200, { experiment_id: '8' }];
    case 'runs/create':
      return [200, { run: { info: { run_id: 'abc' } } }];
    case 'runs/log-batch':
    case 'runs/update':
      return [200, {}];
    default:
      return [404, { error_code: 'ENDPOINT_NOT_FOUND' }];
  }
}

const sink = (): MlflowSink =>
  new MlflowSink({
    uri,
    authorization: 'Bearer t',
    experiment: 'my experiment',
    runId: 'run-1',
    parameters: { seed: '1', long: 'x'.repeat(300) },
    idFile: join(dir, 'mlflow-run'),
    clock: () => 1234,
  });
const row = { step: 3, atMs: 99.6, values: { 'reward/mean': 0.5, 'user/what ?': 2 } };

describe('MlflowSink', () => {
  it('makes experiment and run, logs parameters and metrics, and says how the run ended', async () => {
    const one = sink();
    await one.write([row]);
    await one.close('finished');
    expect(requests.map(({ path, body }) => [path, body])).toEqual([
      ['experiments/get-by-name?experiment_name=my%20experiment', {}],
      ['experiments/create', { name: 'my experiment' }],
      [
        'runs/create',
        {
          experiment_id: '8',
          run_name: 'run-1',
          start_time: 1234,
          tags: [{ key: 'mlflow.source.name', value: 'forge' }],
        },
      ],
      [
        'runs/log-batch',
        {
          run_id: 'abc',
          params: [
            { key: 'seed', value: '1' },
            { key: 'long', value: 'x'.repeat(250) },
          ],
        },
      ],
      [
        'runs/log-batch',
        {
          run_id: 'abc',
          metrics: [
            { key: 'reward/mean', value: 0.5, timestamp: 100, step: 3 },
            { key: 'user/what _', value: 2, timestamp: 100, step: 3 },
          ],
        },
      ],
      ['runs/update', { run_id: 'abc', status: 'FINISHED', end_time: 1234 }],
    ]);
    expect(new Set(requests.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer t']));
    expect(readFileSync(join(dir, 'mlflow-run'), 'utf8')).toBe('abc\n');
  });

  it('goes on with the run of an earlier coordinator', async () => {
    hasExperiment = true;
    await sink().write([row]);
    expect(requests[1]).toMatchObject({ path: 'runs/create', body: { experiment_id: '7' } });
    requests = [];
    await sink().write([row]);
    expect(requests.map(({ path, body }) => [path, body.run_id])).toEqual([
      ['runs/update', 'abc'],
      ['runs/log-batch', 'abc'],
    ]);
  });

  it('sends at most a thousand metrics at once', async () => {
    await sink().write(Array.from({ length: 1001 }, (_, step) => ({ ...row, step, values: { a: 1 } })));
    expect(
      requests.map(({ body }) => (body.metrics as unknown[] | undefined)?.length).filter(Boolean),
    ).toEqual([1000, 1]);
  });

  it('says what the server said, and tries again from the start', async () => {
    isDown = true;
    const one = sink();
    await expect(one.write([row])).rejects.toMatchObject({
      code: 'TRANSIENT_SERVICE_UNAVAILABLE',
      message: expect.stringContaining('answered 503: "busy"') as string,
    });
    isDown = false;
    await one.write([row]);
    expect(requests.at(-1)).toMatchObject({ path: 'runs/log-batch', body: { run_id: 'abc' } });
  });
});
