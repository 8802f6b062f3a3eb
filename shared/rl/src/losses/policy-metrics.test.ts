import { evaluateLoss, type LossCase } from './loss.fixture';
import { finishMetrics, policyMetrics } from './policy-metrics';
import { tokenMean } from './batch-mean';

const metricsOf = (lossCase: LossCase) =>
  evaluateLoss(
    (terms) => ({
      loss: tokenMean(terms.logprobs, terms),
      metrics: policyMetrics(terms, { needsReference: true }),
    }),
    lossCase,
  ).metrics;

describe('policyMetrics', () => {
  it('estimates both divergences by k3, each from the side that drew the tokens', () => {
    const { log } = Math;
    const metrics = metricsOf({
      logprobs: [[log(0.6), log(0.2)]],
      behaviour: [[log(0.4), log(0.4)]],
      reference: [[log(0.3), log(0.2)]],
      entropy: [[0.7, 0.9]],
      advantages: [0],
    });
    // r = 0.6/0.4 and 0.2/0.4 from the behaviour's view; 0.3/0.6 and 1 from the policy's.
    expect(metrics['kl_behaviour']).toBeCloseTo((1.5 - log(1.5) - 1 + (0.5 - log(0.5) - 1)) / 2, 12);
    expect(metrics['kl_reference']).toBeCloseTo((0.5 - log(0.5) - 1) / 2, 12);
    expect(metrics['entropy']).toBeCloseTo(0.8, 12);
    expect(metrics['importance_ratio']).toBeCloseTo(1, 12);
    expect(metrics['importance_ratio_square']).toBeCloseTo((2.25 + 0.25) / 2, 12);
  });
});

describe('finishMetrics', () => {
  it('makes the effective sample size of the moments of the weights', () => {
    // Weights 1.5 and 0.5: (2)^2 / (2 x 2.5) = 0.8.
    expect(finishMetrics({ importance_ratio: 1, importance_ratio_square: 1.25, entropy: 0.3 })).toEqual({
      importance_ratio: 1,
      effective_sample_size: 0.8,
      entropy: 0.3,
    });
  });

  it('leaves metrics without weights as they are', () => {
    expect(finishMetrics({ entropy: 0.3 })).toEqual({ entropy: 0.3 });
  });
});
