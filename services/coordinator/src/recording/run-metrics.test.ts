import type { MetricState } from '@forge/contracts';
import { RunMetrics, serviceValues } from './run-metrics';

const step = (n: number, values: Record<string, number> = {}) => ({ kind: 'step' as const, step: n, values });
const service = (name: string, replica: string, values: Record<string, number>) => ({
  kind: 'service' as const,
  service: name,
  replica,
  values,
});

const mean = (sum: number, count: number) => ({ reduce: 'mean' as const, sum, count });
let sequence = 0;
const recorded = (replica: string, states: Record<string, MetricState>, rank = '') => ({
  kind: 'recorded' as const,
  service: 'reward',
  replica,
  incarnation: replica,
  sequence: sequence++,
  reports: [{ rank, states, values: [['user/a', 1, 5] as [string, number, number]] }],
});
let warnings: string[] = [];
const warn = (message: string) => warnings.push(message);
beforeEach(() => (warnings = []));

describe('RunMetrics', () => {
  it('merges step metrics, service reports and the newest evaluation into the row of a step', () => {
    const metrics = new RunMetrics(0, null, warn);
    metrics.addService(
      service('trainer', '0', { busyMs: 250, idleMs: 750, intervalMs: 1000, residentBytes: 5 }),
      1,
    );
    for (const weightsRefused of [2, 0, 1]) metrics.addService(service('policy', '0', { weightsRefused }), 1);
    metrics.addEvaluation({ version: 0, accuracy: 0.4, unjudged: 0.25 });
    metrics.rejected = { 'http/404': 3 };
    expect(metrics.addStep(step(1, { 'reward/mean': 0.5 }), 2)?.row).toMatchObject({
      'messages_rejected/http/404': 3,
      step: 1,
      'weights/refused': 3,
      'time/elapsed_s': 2,
      'reward/mean': 0.5,
      'busy/trainer': 0.25,
      'idle/trainer': 0.75,
      'memory/trainer_bytes': 5,
      'eval/accuracy': 0.4,
      'eval/version': 0,
      'eval/unjudged_share': 0.25,
    });
  });

  it('forgets a replica that reports no more', () => {
    const metrics = new RunMetrics(0, null, warn);
    metrics.addService(service('policy', '0', { busyMs: 1, idleMs: 0 }), 1);
    metrics.addService(service('policy', '1', { busyMs: 0, idleMs: 1 }), 15);
    expect(metrics.addStep(step(1), 20)?.row).toMatchObject({ 'busy/policy': 0, 'idle/policy': 1 });
  });

  it('puts an evaluation into the row of the step that comes after it, and behind the last step among the late values', () => {
    const metrics = new RunMetrics(0, { version: 0, accuracy: 0.1, unjudged: 0 }, warn);
    expect(metrics.addStep(step(1), 1)?.row).toMatchObject({ 'eval/accuracy': 0.1, 'eval/version': 0 });
    metrics.addEvaluation({ version: 1, accuracy: 0.7, unjudged: 0.5 });
    expect(metrics.newest).toMatchObject({ step: 1, 'eval/accuracy': 0.7 });
    expect(metrics.addStep(step(2), 2)?.row).toMatchObject({ 'eval/accuracy': 0.7, 'eval/version': 1 });
    metrics.addEvaluation({ version: 2, accuracy: 0.8, unjudged: 0 });
    expect(metrics.late().values).toEqual({
      'eval/accuracy': 0.8,
      'eval/version': 2,
      'eval/unjudged_share': 0,
    });
  });

  it('ignores a step that is delivered again or was written before a restart', () => {
    const metrics = new RunMetrics(4, null, warn);
    expect(metrics.addStep(step(4, { x: 1 }), 1)).toBeNull();
    expect(metrics.addStep(step(5, { x: 2 }), 1)?.row).toMatchObject({ step: 5, x: 2 });
    expect(metrics.addStep(step(5, { x: 3 }), 1)).toBeNull();
  });
});

describe('recorded metrics', () => {
  it('are reduced over all processes between two steps, and kept apart by process', () => {
    const metrics = new RunMetrics(0, null, warn);
    metrics.addRecorded(recorded('0', { 'user/a': mean(10, 2), 'user/top': { reduce: 'max', value: 3 } }));
    metrics.addRecorded(recorded('1', { 'user/a': mean(20, 3), 'user/top': { reduce: 'max', value: 7 } }));
    const below = recorded('1', { 'user/a': mean(1, 1) }, 'p7');
    expect(metrics.addRecorded(below)).toEqual({
      points: [{ rank: 'reward/1/p7', key: 'user/a', value: 1, atMs: 5 }],
      step: 1,
    });
    const first = metrics.addStep(step(1), 1);
    expect(first?.row).toMatchObject({ step: 1, 'user/a': 31 / 6, 'user/top': 7 });
    expect([...(first?.ranks ?? [])]).toEqual([
      ['reward/0', { 'user/a': 5, 'user/top': 3 }],
      ['reward/1', { 'user/a': 20 / 3, 'user/top': 7 }],
      ['reward/1/p7', { 'user/a': 1 }],
    ]);
    metrics.addRecorded(below);
    metrics.addRecorded(recorded('0', { 'user/a': mean(8, 1) }));
    expect(metrics.addStep(step(2), 2)?.row).toMatchObject({ step: 2, 'user/a': 8 });
  });

  it('that come behind the last step are reduced together with those of its row', () => {
    const metrics = new RunMetrics(0, null, warn);
    metrics.addRecorded(recorded('0', { 'user/a': mean(10, 2), 'user/calls': { reduce: 'sum', total: 2 } }));
    metrics.addStep(step(1), 1);
    metrics.addRecorded(recorded('1', { 'user/a': mean(5, 1), 'user/calls': { reduce: 'sum', total: 1 } }));
    const { values, ranks } = metrics.late();
    expect(values).toEqual({ 'user/a': 5, 'user/calls': 3 });
    expect([...ranks]).toEqual([
      ['reward/0', { 'user/a': 5, 'user/calls': 2 }],
      ['reward/1', { 'user/a': 5, 'user/calls': 1 }],
    ]);
  });

  it('that were taken for the last row are not taken for the next', () => {
    const metrics = new RunMetrics(0, null, warn);
    metrics.addStep(step(1), 1);
    metrics.addRecorded(recorded('0', { 'user/a': mean(100, 1) }));
    expect(metrics.late()).toMatchObject({ step: 1, values: { 'user/a': 100 } });
    metrics.addRecorded(recorded('0', { 'user/a': mean(4, 1) }));
    expect(metrics.addStep(step(2), 2)?.row).toMatchObject({ 'user/a': 4 });
  });

  it('go to the same rows when a new coordinator reads them again', () => {
    const events = [
      recorded('0', { 'user/a': mean(1, 1) }),
      step(1),
      step(1),
      recorded('0', { 'user/a': mean(2, 1) }),
      step(2),
      recorded('0', { 'user/a': mean(4, 1) }),
      step(3),
    ];
    const metrics = new RunMetrics(1, null, warn);
    const rows: unknown[] = [];
    const points = events.flatMap((event) => {
      if (event.kind === 'recorded') return metrics.addRecorded(event).points;
      const finished = metrics.addStep(event, 1);
      if (finished !== null) rows.push(finished.row);
      return [];
    });
    expect(rows).toMatchObject([
      { step: 2, 'user/a': 2 },
      { step: 3, 'user/a': 4 },
    ]);
    expect(points).toHaveLength(2);
  });

  it('are bounded, whoever sends them', () => {
    const metrics = new RunMetrics(0, null, warn);
    for (let i = 0; i < 1_100; i++) metrics.addRecorded(recorded(`r${i}`, { 'user/a': mean(1, 1) }));
    for (let i = 0; i < 1_100; i++) metrics.addRecorded(recorded('r0', { [`user/${i}`]: mean(1, 1) }));
    const finished = metrics.addStep(step(1), 1)!;
    expect([finished.ranks.size, finished.recorded.size]).toEqual([1_024, 1_000]);
    expect(finished.row['user/a']).toBe(1);
    expect(warnings).toHaveLength(1);
  });

  it('keep the first reduction where two processes disagree, and say so once', () => {
    const metrics = new RunMetrics(0, null, warn);
    metrics.addRecorded(recorded('0', { 'user/a': mean(4, 2) }));
    metrics.addRecorded(recorded('1', { 'user/a': { reduce: 'sum', total: 9 } }));
    expect(metrics.addStep(step(1), 1)?.row).toMatchObject({ 'user/a': 2 });
    expect(warnings).toEqual([
      'metric user/a: recorded as mean and as sum; expected one reduction for one key; the second is left out',
    ]);
  });
});

describe('serviceValues', () => {
  it('averages shares of time that add up to one, and sums token rates, over replicas', () => {
    const policy = { busyMs: 500, 'waits/rewardMs': 250, idleMs: 250, intervalMs: 1000, tokens: 300 };
    const values = serviceValues([
      service('policy', '0', { ...policy, residentBytes: 10 }),
      service('policy', '1', { busyMs: 500, idleMs: 0, intervalMs: 500, tokens: 100, residentBytes: 30 }),
      service('coordinator', '0', { busyMs: 1, idleMs: 3, 'queue/groups/depth': 7, residentBytes: 1 }),
    ]);
    expect(values).toEqual({
      'busy/policy': 0.75,
      'idle/policy': 0.125,
      'waits/policy/reward': 0.125,
      'tokens/generated_per_second': 500,
      'memory/policy_bytes': 30,
      'busy/coordinator': 0.25,
      'idle/coordinator': 0.75,
      'memory/coordinator_bytes': 1,
      'queue/groups/depth': 7,
    });
  });
});
