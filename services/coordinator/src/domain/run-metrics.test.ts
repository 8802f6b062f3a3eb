import { RunMetrics, serviceValues } from './run-metrics';

const step = (n: number, values: Record<string, number> = {}) => ({ kind: 'step' as const, step: n, values });
const service = (name: string, replica: string, values: Record<string, number>) => ({
  kind: 'service' as const,
  service: name,
  replica,
  values,
});

describe('RunMetrics', () => {
  it('merges step metrics, service reports and the newest evaluation into one row per step', () => {
    const metrics = new RunMetrics(0, null);
    metrics.addService(service('trainer', '0', { busyMs: 250, intervalMs: 1000, residentBytes: 5 }));
    for (const weightsRefused of [2, 0, 1]) metrics.addService(service('policy', '0', { weightsRefused }));
    metrics.addEvaluation({ version: 0, accuracy: 0.4 });
    expect(metrics.addStep(step(1, { 'reward/mean': 0.5 }), 2)).toBeNull();
    expect(metrics.close()).toMatchObject({
      step: 1,
      'weights/refused': 3,
      'time/elapsed_s': 2,
      'reward/mean': 0.5,
      'busy/trainer': 0.25,
      'memory/trainer_bytes': 5,
      'eval/accuracy': 0.4,
      'eval/version': 0,
    });
    expect(metrics.close()).toBeNull();
  });

  it('puts an evaluation into the row of the step that came before it', () => {
    const metrics = new RunMetrics(0, { version: 0, accuracy: 0.1 });
    metrics.addStep(step(1), 1);
    metrics.addEvaluation({ version: 1, accuracy: 0.7 });
    expect(metrics.addStep(step(2), 2)).toMatchObject({ step: 1, 'eval/accuracy': 0.7, 'eval/version': 1 });
  });

  it('ignores a step that is delivered again or was written before a restart', () => {
    const metrics = new RunMetrics(4, null);
    expect(metrics.addStep(step(4, { x: 1 }), 1)).toBeNull();
    metrics.addStep(step(5, { x: 2 }), 1);
    metrics.addStep(step(5, { x: 3 }), 1);
    expect(metrics.close()).toMatchObject({ step: 5, x: 2 });
  });
});

describe('serviceValues', () => {
  it('averages busy shares and sums token rates over replicas', () => {
    expect(
      serviceValues([
        service('policy', '0', { busyMs: 500, intervalMs: 1000, tokens: 300, residentBytes: 10 }),
        service('policy', '1', { busyMs: 500, intervalMs: 500, tokens: 100, residentBytes: 30 }),
      ]),
    ).toEqual({ 'busy/policy': 0.75, 'tokens/generated_per_second': 500, 'memory/policy_bytes': 30 });
  });
});
