import { metricCollector } from '@forge/telemetry';
import { waitFor } from '@forge/testing';
import { rootOwner } from '../actor/supervision';
import { Counter } from '../counter.fixture';
import { thisHost } from '../hosts/host';

afterAll(() => rootOwner.stopOwned());

const counted = () => metricCollector().totals.get('user/counted') ?? null;

it('counts what actors record in processes of their own, by process, to the last value', async () => {
  const procs = await thisHost().spawnProcs({ procs: 2 });
  const counters = await procs.spawn('counters', Counter);
  await counters.record.call(3);
  await waitFor('reports of both', () => {
    const state = counted();
    return state?.reduce === 'mean' && state.count === 2;
  });
  await counters.slice({ procs: 0 }).record.callOne(9);
  await procs.stop();
  expect(counted()).toEqual({ reduce: 'mean', sum: 15, count: 3 });
  const reports = metricCollector().take();
  expect(reports.map(({ rank }) => rank).sort()).toEqual(procs.pids.map((pid) => `p${pid}`).sort());
});
