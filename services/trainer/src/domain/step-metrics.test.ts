import { isMetric } from '@forge/telemetry';
import { stepMetrics } from './step-metrics';

const result = {
  loss: 0.5,
  gradientNorm: 2,
  learningRate: 1e-3,
  metrics: { entropy: 1.2, kl_behaviour: 0.01, clip_fraction: 0.1, effective_sample_size: 0.9 },
  tokens: 100,
  paddedTokens: 128,
  smallerMicroBatches: null,
  logprobMismatch: 1e-6,
  logprobMismatchAnyVersion: 1e-2,
  durationMs: 40,
};

describe('stepMetrics', () => {
  it('uses the names of the table of metrics', () => {
    const metrics = stepMetrics(result, { stepMs: 90, waitMs: 30 }, { 'reward/mean': 0.25 });
    expect(Object.keys(metrics).filter((name) => !isMetric(name))).toEqual([]);
    expect(metrics).toMatchObject({
      'reward/mean': 0.25,
      loss: 0.5,
      logprob_mismatch: 1e-6,
      'kl/behaviour': 0.01,
      'ratio/clip_fraction': 0.1,
      'time/step_ms': 90,
      'time/train_ms': 40,
      'time/wait_ms': 30,
    });
  });

  it('puts a metric of an algorithm of its own under loss/', () => {
    const own = { ...result, metrics: { surprise: 3 } };
    expect(stepMetrics(own, { stepMs: 1, waitMs: 1 }, {})).toMatchObject({ 'loss/surprise': 3 });
  });

  it('gives the larger of the mismatches that trainer and policy found', () => {
    const metrics = stepMetrics(result, { stepMs: 1, waitMs: 1 }, { logprob_mismatch: 3e-5 });
    expect(metrics['logprob_mismatch']).toBe(3e-5);
  });
});
