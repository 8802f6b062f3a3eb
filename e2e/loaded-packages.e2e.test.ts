import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { connectRedis, type Redis } from '@forge/broker';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { directoryWithModel, ServiceProcesses, SERVICES, smallRecipe } from './service-processes';

/** Packages a service has loaded when it ends. */
interface Loaded {
  main: string;
  pid: number;
  isMainThread: boolean;
  packages: string[];
}

let server: TestRedis;
let redis: Redis;
let dir: string;
let loaded: Loaded[];

beforeAll(async () => {
  server = await startTestRedis();
  redis = await connectRedis(server.url, { name: 'test', giveUpAfterMs: 5_000 });
  dir = await directoryWithModel();
  const recipe = smallRecipe(dir, { steps: 1, tracing: { sampleRatio: 0 } });
  const log = join(dir, 'loaded.jsonl');
  const variables = {
    NODE_OPTIONS: `--require ${join(__dirname, 'loaded-packages.cjs')}`,
    FORGE_TEST_LOADED: log,
  };
  const processes = await ServiceProcesses.start(server, redis, 'loaded', recipe, {
    variables,
    isBundled: false,
  });
  try {
    await processes.finished();
    await processes.stop();
  } finally {
    processes.kill();
  }
  loaded = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Loaded);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** The packages a service has loaded in its main thread, or in the others. */
function packagesOf(service: string, isMainThread: boolean): string[] {
  const { pid } = loaded.find(({ main }) => main.includes(`/services/${service}/`))!;
  const lines = loaded.filter((one) => one.pid === pid && one.isMainThread === isMainThread);
  return lines.flatMap(({ packages }) => packages);
}

describe('a service that has done its part of a run', () => {
  it.each(SERVICES)('%s has loaded onnxruntime in no main thread', (service) => {
    const packages = packagesOf(service, true);
    expect(packages).toContain('ioredis');
    expect(packages.filter((name) => name.startsWith('onnxruntime'))).toEqual([]);
  });

  it.each(['trainer', 'policy', 'reference'])(
    '%s has loaded onnxruntime in the thread it computes in',
    (service) => {
      expect(packagesOf(service, false)).toContain('onnxruntime-node');
    },
  );

  it.each(['coordinator', 'reward', 'replay-buffer'])('%s has loaded onnxruntime nowhere', (service) => {
    expect(packagesOf(service, false)).not.toContain('onnxruntime-node');
  });

  it.each(SERVICES)(
    '%s has loaded nothing of the OpenTelemetry SDK where nothing is traced or scraped',
    (service) => {
      const sdk = packagesOf(service, true).filter((name) =>
        /^@opentelemetry\/(sdk|exporter|otlp)/.test(name),
      );
      expect(sdk).toEqual([]);
    },
  );

  it('has loaded BullMQ only where it adds jobs or works on them', () => {
    const having = SERVICES.filter((service) => packagesOf(service, true).includes('bullmq'));
    expect(having).toEqual(['coordinator', 'policy']);
  });
});
