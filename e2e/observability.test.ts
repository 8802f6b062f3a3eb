import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { MetricCollector, METRICS, Metering, Reduce } from '@forge/telemetry';
import { parse } from 'yaml';

const root = join(__dirname, '..');
const read = (name: string): string => readFileSync(join(root, name), 'utf8');

interface Alert {
  alert: string;
  expr: string;
  annotations: Record<string, string>;
}
interface Panel {
  title: string;
  targets?: { expr: string }[];
}

const { groups } = parse(read('infra/prometheus/alerts.yml')) as { groups: { rules: Alert[] }[] };
const alerts = groups.flatMap(({ rules }) => rules);
const { panels } = JSON.parse(read('infra/grafana/forge.json')) as { panels: Panel[] };
const queries = [
  ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ of: title, expr }))),
  ...alerts.map(({ alert, expr }) => ({ of: alert, expr })),
];

/** Every series that services show, by its labels. */
async function scraped(): Promise<Map<string, Set<string>>> {
  const recorded = new MetricCollector(Date.now, () => undefined);
  for (const reduce of [Reduce.MEAN, Reduce.MAX]) recorded.record(`user/${reduce}`, 1, reduce);
  const newest = Object.fromEntries(METRICS.map(({ name }) => [name.replaceAll(/<(\w+)>/g, 'any'), 1]));
  const metering = new Metering({
    ...{ service: 'policy', replica: '0', runId: 'run' },
    settings: { exporters: [], protocol: 'grpc', endpoint: '', intervalMs: 60_000, timeoutMs: 1_000 },
    metered: { totals: () => ({ busyMs: 1, idleMs: 1, tokens: 1 }), newest: () => newest, recorded },
    warn: () => undefined,
  });
  const { scrape } = await metering.start();
  const server = createServer(scrape);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const text = await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)).text();
  server.closeAllConnections();
  server.close();
  await metering.stop();
  const series = new Map<string, Set<string>>();
  for (const [, name = '', labels = ''] of text.matchAll(/^(\w+)\{(.*)\} \S+$/gm))
    series.set(name, new Set([...labels.matchAll(/(\w+)="/g)].map(([, label = '']) => label)));
  return series;
}

describe('what Prometheus and Grafana are told to show', () => {
  it('is there: each query names series and labels that services have', async () => {
    const series = await scraped();
    expect(series.size).toBeGreaterThan(METRICS.length);
    for (const { of, expr } of queries) {
      const selectors = [...expr.matchAll(/\b((?:forge|process|target)_\w+)(?:\{([^}]*)\})?/g)].filter(
        ([, name = '']) => name !== 'forge_run_id',
      );
      const known = selectors.filter(([, name = '']) => series.has(name));
      expect({
        of,
        missing: selectors.filter((one) => !known.includes(one)).map(([, name]) => name),
      }).toEqual({ of, missing: [] });
      for (const [, name = '', labels = ''] of known)
        for (const [, label = ''] of labels.matchAll(/(\w+)=/g))
          expect({ of, name, label, isThere: series.get(name)?.has(label) }).toMatchObject({ isThere: true });
      if (known.length === 0) expect(expr).toBe('up{job="forge"} == 0');
    }
  });

  it('says what happened and what to do, in every alert', () => {
    expect(alerts.length).toBeGreaterThan(5);
    for (const { annotations } of alerts)
      expect(annotations).toEqual({ summary: expect.any(String), action: expect.any(String) });
  });

  it('is scraped from every service of docker-compose.yml', () => {
    const { services } = parse(read('docker-compose.yml'), { merge: true }) as {
      services: Record<string, { command?: unknown; restart?: string; image?: string }>;
    };
    const ours = Object.entries(services)
      .filter(
        ([name, { image, restart }]) =>
          /FORGE_(GPU_)?IMAGE/.test(image ?? '') && restart !== 'no' && name !== 'dashboard',
      )
      .map(([name]) => name);
    const config = parse(read('infra/prometheus/prometheus.yml')) as {
      scrape_configs: { dns_sd_configs: { names: string[] }[] }[];
    };
    expect([...config.scrape_configs[0]!.dns_sd_configs[0]!.names].sort()).toEqual(ours.sort());
  });
});
