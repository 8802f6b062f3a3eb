import { metricReportSchema } from '@forge/contracts';
import { MetricCollector } from './metric-collector';
import { Reduce } from './metric-state';

let warnings: string[];
let collector: MetricCollector;
beforeEach(() => {
  warnings = [];
  collector = new MetricCollector(
    () => 7,
    (message) => warnings.push(message),
  );
});

describe('MetricCollector', () => {
  it('gives states and single values of each rank, and begins anew', () => {
    collector.record('a', 1, Reduce.MEAN);
    collector.record('a', 4, Reduce.MEAN);
    const child = { rank: 'p2', states: { a: { reduce: 'mean', sum: 2, count: 1 } }, values: [] } as const;
    collector.merge({ ...child, values: [['a', 2, 9]] }, 'p1');
    expect(collector.take()).toEqual([
      {
        rank: '',
        states: { a: { reduce: 'mean', sum: 5, count: 2 } },
        values: [
          ['a', 1, 7],
          ['a', 4, 7],
        ],
      },
      { rank: 'p1/p2', states: child.states, values: [['a', 2, 9]] },
    ]);
    expect(collector.take()).toEqual([]);
    expect(collector.totals.get('a')).toEqual({ reduce: 'mean', sum: 7, count: 3 });
  });

  it('leaves out what is not finite, has no name, or another reduction than before, and says so once', () => {
    for (let i = 0; i < 2; i++) {
      collector.record('nan', NaN, Reduce.MEAN);
      collector.record('', 1, Reduce.MEAN);
      collector.record('k', 1, i === 0 ? Reduce.MEAN : Reduce.SUM);
      collector.record('text', 'x' as never, Reduce.MEAN);
      collector.take();
    }
    expect(warnings).toEqual([
      'metric nan: the value is NaN; it is left out',
      'metric "": expected a name of 1 to 200 characters; it is left out',
      'metric text: the value is x; it is left out',
      'metric k: recorded as mean and as sum; expected one reduction for one key; the second is left out',
    ]);
    expect(collector.take()).toEqual([]);
  });

  it('leaves out what is too large to add up, and stays fit to be sent', () => {
    collector.record('squares', 1e200, Reduce.STD);
    collector.record('sum', 1e308, Reduce.SUM);
    collector.record('sum', 1e308, Reduce.SUM);
    expect(warnings).toEqual([
      'metric squares: its values are too large to add up; the last is left out',
      'metric sum: its values are too large to add up; the last is left out',
    ]);
    const [report] = collector.take();
    expect(report?.states).toEqual({ sum: { reduce: 'sum', total: 1e308 } });
    expect(metricReportSchema.safeParse(report).success).toBe(true);
  });

  it('is bounded, whatever a name is made of', () => {
    for (let i = 0; i < 1500; i++) collector.record(`k${i}`, 1, Reduce.MEAN);
    for (let i = 0; i < 1500; i++) collector.record('k0', 1, Reduce.MEAN);
    const [report] = collector.take();
    expect(Object.keys(report!.states)).toHaveLength(1000);
    expect(report!.states.k0).toEqual({ reduce: 'mean', sum: 1501, count: 1501 });
    expect(report!.values).toHaveLength(1000);
    expect(warnings).toHaveLength(1);
  });

  it('tells when there is something to take', () => {
    let told = 0;
    const end = collector.whenRecorded(() => (told += 1));
    collector.record('a', 1, Reduce.MEAN);
    end();
    collector.record('a', 1, Reduce.MEAN);
    expect(told).toBe(1);
  });
});
