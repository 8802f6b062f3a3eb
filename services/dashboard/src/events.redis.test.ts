import { renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis, RunState } from '@forge/broker';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import type { MetricsRow, RunView } from './api';
import type { Dashboard } from './service';
import { control, DashboardUnderTest, dataOf, get, listen, row, sample } from './test-run.fixture';

let server: TestRedis;
let redis: Redis;
let under: DashboardUnderTest;
let dashboard: Dashboard;
let id: string;
let runs = 0;

beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
afterAll(() => server.stop());
beforeEach(async () => {
  under = new DashboardUnderTest();
  dashboard = await under.start();
  id = `run-${++runs}`;
});
afterEach(() => under.stop());

const running = (): Promise<RunState> => under.run(id, server.url, redis);

describe('events', () => {
  it('tell the whole view first, then what is new, to all who listen', async () => {
    const state = await running();
    under.write(id, 'metrics.jsonl', row(1));
    const clients = [
      await listen(dashboard, `/runs/${id}/events`),
      await listen(dashboard, `/runs/${id}/events`),
    ];
    for (const { told } of clients) {
      await waitFor('a view', () => dataOf<RunView>(told, 'view').length > 0);
      expect(told[0]).toMatchObject({ event: 'view', data: { run: { id } } });
      expect(dataOf(told, 'problem')).toEqual([null]);
    }
    under.write(id, 'metrics.jsonl', row(2), row(3));
    under.write(id, 'samples.jsonl', sample);
    under.write(id, 'controls.jsonl', control);
    await state.controls.pause();
    for (const { told, stop } of clients) {
      await waitFor('all of it', () =>
        ['metrics', 'samples', 'controls'].every((event) => dataOf(told, event).length > 0),
      );
      expect(dataOf<MetricsRow[]>(told, 'metrics')).toMatchObject([[{ step: 2 }, { step: 3 }]]);
      expect(told.find(({ event }) => event === 'metrics')?.id).toBe('3');
      expect(dataOf(told, 'samples')).toMatchObject([[{ index: 3 }]]);
      expect(dataOf(told, 'controls')).toMatchObject([[{ name: 'maxStaleness' }]]);
      await waitFor('the pause', () => dataOf<RunView>(told, 'view').at(-1)?.verdict.bound === 'paused');
      stop();
    }
  });

  it('tell who comes back what it has missed', async () => {
    await running();
    under.write(id, 'metrics.jsonl', row(1), row(2), row(3));
    const byHeader = await listen(dashboard, `/runs/${id}/events`, { 'last-event-id': '1' });
    const byQuery = await listen(dashboard, `/runs/${id}/events?after=2`);
    await waitFor('both', () => [byHeader, byQuery].every(({ told }) => dataOf(told, 'metrics').length > 0));
    const steps = ({ told }: typeof byQuery) =>
      dataOf<MetricsRow[]>(told, 'metrics')[0]!.map(({ step }) => step);
    expect([steps(byHeader), steps(byQuery)]).toEqual([[2, 3], [3]]);
    byHeader.stop();
    byQuery.stop();
  });

  it('tell a lot at once to who asks for it', async () => {
    await running();
    const wide = Object.fromEntries(Array.from({ length: 125 }, (_, i) => [`user/metric-${i}`, i / 7]));
    under.write(id, 'metrics.jsonl', ...Array.from({ length: 2_000 }, (_, step) => row(step + 1, wide)));
    const { told, stop } = await listen(dashboard, `/runs/${id}/events?after=0`);
    await waitFor('all rows', () => dataOf<MetricsRow[]>(told, 'metrics')[0]?.length === 2_000);
    stop();
  });

  it('tell a choice of very many rows, and all that come then', async () => {
    await running();
    under.write(id, 'metrics.jsonl', ...Array.from({ length: 9_000 }, (_, step) => row(step + 1)));
    const isChoice = (rows: readonly MetricsRow[]): void => {
      expect(rows.length).toBeGreaterThan(1_000);
      expect(rows.length).toBeLessThanOrEqual(2_000);
      expect([rows[0], rows.at(-1)]).toEqual([row(1), row(9_000)]);
    };
    isChoice(await get<MetricsRow[]>(dashboard, `/runs/${id}/metrics`));
    const { told, stop } = await listen(dashboard, `/runs/${id}/events?after=0`);
    await waitFor('the choice', () => dataOf(told, 'metrics').length > 0);
    under.write(id, 'metrics.jsonl', row(9_001), row(9_002));
    await waitFor('new rows', () => dataOf(told, 'metrics').length > 1);
    const [choice, added] = dataOf<MetricsRow[]>(told, 'metrics');
    isChoice(choice!);
    expect(added).toEqual([row(9_001), row(9_002)]);
    expect(await get(dashboard, `/runs/${id}/metrics?step=4321`)).toEqual([row(4_321)]);
    expect(await get(dashboard, `/runs/${id}/metrics?step=9003`)).toEqual([]);
    stop();
  });

  it('say when the directory of the run is gone, and go on when it is back', async () => {
    await running();
    const { told, stop } = await listen(dashboard, `/runs/${id}/events`);
    await waitFor('a view', () => dataOf(told, 'view').length > 0);
    renameSync(join(under.dir, id), join(under.dir, 'elsewhere'));
    await waitFor('the problem', () =>
      dataOf<string | null>(told, 'problem').at(-1)?.includes(`no run ${id}`),
    );
    expect((await fetch(`${dashboard.url}/api/runs/${id}`)).status).toBe(404);
    renameSync(join(under.dir, 'elsewhere'), join(under.dir, id));
    await waitFor('no problem', () => dataOf(told, 'problem').at(-1) === null);
    const before = dataOf(told, 'view').length;
    await waitFor('a view', () => dataOf(told, 'view').length > before);
    stop();
  });

  it('end with the dashboard', async () => {
    await running();
    const { isEnded } = await listen(dashboard, `/runs/${id}/events`);
    await dashboard.close();
    await waitFor('the end', isEnded);
  });
});
