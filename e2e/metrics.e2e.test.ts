import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Registry } from '@forge/broker';
import { isMetric } from '@forge/telemetry';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { directoryWithModel, SERVICES, ServiceProcesses, smallRecipe } from './service-processes';

jest.setTimeout(120_000);

/** Records in all ways, and in none that is allowed. */
const REWARD = `
import { recordMetric, Reduce } from '@forge/telemetry';
export default () => ({
  name: 'recording',
  score: (_sample, text) => {
    recordMetric('calls', 1, Reduce.SUM);
    recordMetric('length', text.length);
    recordMetric('longest', text.length, Reduce.MAX);
    recordMetric('length', 1, Reduce.STD);
    recordMetric('broken', NaN);
    return text.length % 2;
  },
});
`;

let redis: TestRedis;
let dir: string;
let mlflow: Server;
let run: ServiceProcesses | null = null;
beforeAll(async () => {
  [redis, dir] = await Promise.all([startTestRedis(), directoryWithModel()]);
  writeFileSync(join(dir, 'recording.ts'), REWARD);
  mlflow = createServer((_, response) => response.writeHead(500).end('always'));
  await new Promise<void>((resolve) => mlflow.listen(0, '127.0.0.1', resolve));
});
afterEach(() => run?.kill());
afterAll(async () => {
  mlflow.close();
  await redis.stop();
});

type Row = Record<string, number>;
const linesOf = (path: string): Row[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);

it('shows what every service does and what user code records, in each sink and to Prometheus', async () => {
  const connection = await redis.connect();
  const recipe = smallRecipe(dir, {
    steps: 8,
    rewards: [{ module: join(dir, 'recording.ts') }, { name: 'exact' }],
    evaluation: { everySteps: 0 },
    output: {
      dir: join(dir, 'runs'),
      sinks: [
        'tensorboard',
        { kind: 'jsonl', mode: 'per_rank_reduce' },
        { kind: 'jsonl', mode: 'per_rank_no_reduce' },
        { kind: 'mlflow', uri: `http://127.0.0.1:${(mlflow.address() as AddressInfo).port}` },
      ],
    },
  });
  run = await ServiceProcesses.start(redis, connection, 'metrics', recipe);
  await run.reached(2);
  await run.killAndRestart('reward');
  await run.reached(4);

  const registry = new Registry(connection, 'metrics');
  for (const service of SERVICES) {
    const [replica] = await waitFor(service, async () => {
      const replicas = await registry.list(service);
      return replicas.length > 0 && replicas;
    });
    const text = await (await fetch(`${replica!.url}/metrics`)).text();
    expect(text).toContain(`service_name="forge-${service}"`);
    expect(text).toMatch(/forge_activity_time_total\{activity="idle"/);
    if (service === 'reward') expect(text).toMatch(/forge_recorded_sum\{key="user\/calls".*\} \d+$/m);
    if (service === 'trainer') expect(text).toMatch(/forge_recorded_count_total\{key="weights\/publish_ms"/);
    if (service === 'coordinator') expect(text).toMatch(/^forge_reward\{function="recording"/m);
  }
  await run.finished();
  const { runDir } = run;
  await run.stop();

  const rows = linesOf(join(runDir, 'metrics.jsonl'));
  expect(rows.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(rows.flatMap((row) => Object.keys(row)).filter((key) => !isMetric(key))).toEqual([]);
  const all = new Set(rows.flatMap((row) => Object.keys(row)));
  for (const key of [
    'user/length',
    'user/longest',
    'weights/publish_ms',
    'weights/fetch_ms',
    'weights/apply_ms',
    'tokens/prefilled',
    'recovery/reward_s',
    'queue/rollouts/depth',
    'queue/groups/age_s',
    'lag/share/0',
    'groups/discarded_share',
    'tokens/trained_per_second',
    'waits/trainer/batch',
    'waits/policy/reward',
    'waits/replay-buffer/groups',
  ])
    expect(all).toContain(key);
  expect(all).not.toContain('user/broken');
  for (const row of rows) {
    for (const service of SERVICES) {
      const shares = Object.entries(row).filter(
        ([key]) =>
          [`busy/${service}`, `idle/${service}`].includes(key) || key.startsWith(`waits/${service}/`),
      );
      if (shares.length > 0) expect(shares.reduce((sum, [, share]) => sum + share, 0)).toBeCloseTo(1, 9);
    }
    if (row['user/longest'] !== undefined)
      expect(row['user/longest']).toBeGreaterThanOrEqual(row['user/length']!);
  }
  // 8 steps of 8 candidates with 4 completions each, all in some row, but for calls that died with the reward, and
  // their repeats.
  const calls = rows.reduce((sum, row) => sum + (row['user/calls'] ?? 0), 0);
  expect(calls).toBeGreaterThanOrEqual(128);

  const perRank = linesOf(join(runDir, 'metrics.per_rank_reduce.jsonl'));
  // The last row comes again with what came behind it.
  expect(perRank.map(({ step }) => step).slice(0, 8)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(perRank.slice(8).map(({ step }) => step)).toEqual(perRank.length > 8 ? [8] : []);
  expect(perRank.flatMap((row) => Object.keys(row)).filter((key) => key.endsWith('user/calls'))).toContain(
    'reward/0/user/calls',
  );
  const single = linesOf(join(runDir, 'metrics.per_rank_no_reduce.jsonl'));
  const points = single.filter((row) => 'reward/0/user/calls' in row);
  expect(points.length).toBeGreaterThanOrEqual(128);
  expect(new Set(points.map((row) => row['reward/0/user/calls']))).toEqual(new Set([1]));
  expect(readdirSync(join(runDir, 'tensorboard'))).toEqual([expect.stringContaining('events.out.tfevents.')]);
});
