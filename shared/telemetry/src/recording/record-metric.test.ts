import { once } from 'node:events';
import { join, sep } from 'node:path';
import { Worker } from 'node:worker_threads';
import { waitFor } from '@forge/testing';
import { Reduce } from './metric-state';
import { metricCollector, recordMetric, recordSystemMetric } from './record-metric';

afterEach(() => metricCollector().take());

describe('recordMetric', () => {
  it('takes the mean unless told otherwise, under names of the user', () => {
    recordMetric('a', 1);
    recordMetric('b', 2, Reduce.MAX);
    recordSystemMetric('c', 3, Reduce.SUM);
    expect(metricCollector().take()[0]?.states).toEqual({
      'user/a': { reduce: 'mean', sum: 1, count: 1 },
      'user/b': { reduce: 'max', value: 2 },
      c: { reduce: 'sum', total: 3 },
    });
  });

  it('warns the process and goes on when it is misused', () => {
    const warn = jest.spyOn(process, 'emitWarning').mockReturnValue();
    recordMetric('mixed', 1, Reduce.MEAN);
    expect(() => {
      recordMetric('mixed', 1, Reduce.STD);
    }).not.toThrow();
    expect(warn.mock.calls).toEqual([
      [expect.stringContaining('recorded as mean and as std'), 'ForgeMetricWarning'],
    ]);
    warn.mockRestore();
  });

  it('works in worker threads, also in one that ends at once', async () => {
    recordMetric('sum', 15, Reduce.SUM);
    const path = join(
      __dirname.replace(`${sep}src${sep}`, `${sep}dist${sep}`),
      'recording-thread.fixture.js',
    );
    await once(new Worker(path), 'exit');
    const { totals } = metricCollector();
    await waitFor('the values of the thread', () => totals.has('user/mean') || null);
    expect(totals.get('user/mean')).toEqual({ reduce: 'mean', sum: 30, count: 2 });
    expect(totals.get('user/sum')).toEqual({ reduce: 'sum', total: 25 });
  });
});
