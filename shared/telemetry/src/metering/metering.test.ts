import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, sep } from 'node:path';
import { waitFor } from '@forge/testing';
import { METRICS } from '../metrics';
import { MetricCollector } from '../recording/metric-collector';
import { Reduce } from '../recording/metric-state';
import { Metering } from './metering';

const OFF = {
  exporters: [],
  protocol: 'http/json' as const,
  endpoint: 'http://localhost:4318',
  intervalMs: 60_000,
  timeoutMs: 30_000,
};
const servers: Server[] = [];
const meterings: Metering[] = [];
afterEach(async () => {
  await Promise.all(meterings.splice(0).map((metering) => metering.stop()));
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function listen(handler: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(handler as never);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const warnings: string[] = [];
function metering(): Metering {
  const recorded = new MetricCollector(Date.now, () => undefined);
  for (const value of [1, 5]) recorded.record('user/a', value, Reduce.MEAN);
  recorded.record('user/lost', -3, Reduce.SUM);
  recorded.record('user/top', 9, Reduce.MAX);
  const one = new Metering({
    ...{ service: 'policy', replica: '1', runId: 'r' },
    settings: OFF,
    metered: {
      totals: () => Promise.resolve({ busyMs: 1500, 'waits/rewardMs': 250, idleMs: 0, tokens: 42 }),
      newest: () => ({
        step: 3,
        'reward/mean': 0.5,
        'reward/exact': 0.25,
        loss: -1,
        'loss/mine': 2,
        'memory/policy_bytes': 7,
        'waits/policy/reward': 0.5,
        'user/a/b': 4,
        'lag/share/16+': 0.125,
      }),
      recorded,
    },
    warn: (message) => warnings.push(message),
  });
  meterings.push(one);
  return one;
}

describe('a scrape', () => {
  it('shows what the process did since its start, and the newest metrics of the run', async () => {
    const one = metering();
    const url = await listen((request, response) => {
      void one.start().then(({ scrape }) => scrape(request, response));
    });
    const text = await (await fetch(url)).text();
    const samples = new Map(
      text
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => line.replace(/,?otel_scope_name="@forge".*?(?=\})/, '').replace('{}', ''))
        .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
    );
    expect(Object.fromEntries(samples)).toMatchObject({
      'forge_activity_time_total{activity="busy"}': 1.5,
      'forge_activity_time_total{activity="waits/reward"}': 0.25,
      forge_tokens_total: 42,
      'forge_recorded_sum{key="user/a"}': 6,
      'forge_recorded_count_total{key="user/a"}': 2,
      'forge_recorded_sum{key="user/lost"}': -3,
      'forge_recorded_extreme{key="user/top"}': 9,
      forge_reward_mean: 0.5,
      'forge_reward{function="exact"}': 0.25,
      forge_loss: -1,
      'forge_loss_metric{metric="mine"}': 2,
      'forge_memory_bytes{service="policy"}': 7,
      'forge_waits{service="policy",what="reward"}': 0.5,
      'forge_user{key="a/b"}': 4,
      'forge_lag_share{lag="16+"}': 0.125,
    });
    expect(text).toContain('# HELP forge_reward_mean mean weighted reward');
  });
});

describe('export by OTLP', () => {
  /** Exports from a process of its own: the exporter imports in a way that jest does not know. */
  function exporting(url: string, intervalMs: number): ChildProcess {
    const script = join(__dirname.replace(`${sep}src${sep}`, `${sep}dist${sep}`), 'metering.fixture.js');
    const child = fork(script, [String(intervalMs)], {
      env: { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: url },
    });
    child.on('message', (warning: string) => warnings.push(warning));
    warnings.length = 0;
    return child;
  }

  it('sends the same instruments with who they are of, and the rest at the end', async () => {
    const bodies: {
      resourceMetrics: { resource: unknown; scopeMetrics: { metrics: { name: string }[] }[] }[];
    }[] = [];
    const url = await listen((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        bodies.push(JSON.parse(body) as never);
        response.end('{}');
      });
    });
    const child = exporting(url, 60_000);
    child.send('end');
    expect(await once(child, 'exit')).toEqual([0, null]);
    const [first] = bodies[0]!.resourceMetrics;
    expect(JSON.stringify(first!.resource)).toContain('"stringValue":"forge-policy"');
    const names = first!.scopeMetrics.flatMap(({ metrics }) => metrics.map(({ name }) => name));
    expect(names.sort()).toEqual(['forge.activity.time', 'forge.reward.mean', 'process.memory.usage']);
    expect(warnings).toEqual([]);
  });

  it('that fails is one warning, and it goes on trying', async () => {
    let tries = 0;
    const url = await listen((_, response) => {
      tries += 1;
      response.writeHead(400).end();
    });
    const child = exporting(url, 50);
    await waitFor('several tries', () => tries >= 3);
    child.send('end');
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`metrics are lost, the run goes on without`);
  });
});

it('has a name of its own for every metric', () => {
  const names = METRICS.map(({ name }) => name.replaceAll(/\/<\w+>/g, ''));
  // `reward/<function>` and `loss/<metric>` stand beside metrics without an attribute.
  expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual(['loss']);
});
