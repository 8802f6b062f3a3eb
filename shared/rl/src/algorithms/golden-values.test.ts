/*
 * Values that other systems' own tests hold their losses and advantages to, and some calculated from the formulas ("calculated"):
 * NeMo RL's tests/unit/algorithms/test_loss_functions.py, SkyRL's tests of its losses and advantages, verl's of its rollout
 * correction. Vectors are given as there.
 */
import { mul, sum, type Tensor } from '@forge/graph';
import { bestOfGroupAdvantage } from '../advantages/best-of-group-advantage';
import { groupRelativeAdvantage } from '../advantages/group-relative-advantage';
import { leaveOneOutAdvantage } from '../advantages/leave-one-out-advantage';
import { maxRlAdvantage } from '../advantages/max-rl-advantage';
import { whiten } from '../advantages/whiten';
import { constantMean, sequenceMean, tokenMean, type BatchMean } from '../losses/batch-mean';
import { clippedRatio } from '../losses/clipped-ratio';
import { correct, type CorrectionOptions } from '../losses/corrections/correction';
import { divergence, divergenceOf, type DivergenceOptions } from '../losses/divergence';
import { evaluateLoss, type LossCase } from '../losses/loss.fixture';
import type { Loss, LossTerms } from '../losses/loss';
import { policyLoss, type PolicyLossOptions, type Surrogate } from '../losses/policy-loss';
import { clippedSequenceRatio } from '../losses/sequence-ratio';
import { overlongPenalty } from '../shaping/overlong-penalty';
import { cispoSurrogate } from './cispo';
import { dppoSurrogate } from './dppo';
import { drGrpo } from './dr-grpo';
import { reinforceSurrogate } from './reinforce';
import { reinforcePlusPlusBaseline } from './reinforce-plus-plus-baseline';
import { sapoSurrogate } from './sapo';
import { vespoSurrogate } from './vespo';

/** A batch's sum in which only the token counts whose reference log-prob is 1: no loss here has a reference model. */
const pick = (x: Tensor, terms: object): Tensor => sum(mul(x, (terms as LossTerms).reference));

/** Values of `loss` for each token of one sequence, by `pick`. */
function eachToken(loss: Loss, lossCase: LossCase): number[] {
  return lossCase.logprobs[0]!.map((_, at, row) => {
    const reference = [row.map((_value, t) => Number(t === at))];
    return evaluateLoss(loss, { ...lossCase, reference }).loss;
  });
}

function perToken(surrogate: Surrogate, options: PolicyLossOptions, lossCase: LossCase): number[] {
  return eachToken(policyLoss(surrogate, pick, options), lossCase);
}

function expectRow(actual: readonly number[], expected: readonly number[], digits = 4): void {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((value, i) => {
    expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(0.6 * 10 ** -digits);
  });
}

/** NeMo RL's vector: ratios 0.5, 1 and 1.5 to the policy before, weights 0.6065, 1.6487 and 0.8187 to the sampler. */
const nemo: LossCase = {
  logprobs: [[-1.69315, -1, -0.59453]],
  old: [[-1, -1, -1]],
  behaviour: [[-0.5, -1.5, -0.8]],
  advantages: [[1, -1, 2]],
};
const dual: LossCase = {
  logprobs: [[-1.69315, -1, -0.69741]],
  old: [[-1, -1, -3]],
  behaviour: [[-1, -1, -3]],
  advantages: [[1, -1, -4]],
};
const toOld = { ratioTo: 'old' } as const;
const tis = (bound: number, level: 'token' | 'sequence' = 'token'): PolicyLossOptions => ({
  correction: [{ name: 'tis', level, bound }],
});
const gspo = clippedSequenceRatio({ clipEpsilon: 0.2 });
const verlCispo = cispoSurrogate({ ratioLow: 0.8, ratioHigh: 1.2 });

describe('losses, by token and their mean', () => {
  it.each<[string, Surrogate, PolicyLossOptions, LossCase, number[], number]>([
    ['PPO (NeMo RL)', clippedRatio({}), toOld, nemo, [-0.5, 1, -2.4], -0.6333],
    ['DAPO (calculated)', clippedRatio({ clipEpsilonHigh: 0.28 }), toOld, nemo, [-0.5, 1, -2.56], -0.68667],
    ['PPO weighed (NeMo RL)', clippedRatio({}), tis(1e6), nemo, [-0.30327, 1.64872, -1.96495], -0.2065],
    ['PPO, TIS at 0.8 (NeMo RL)', clippedRatio({}), tis(0.8), nemo, [-0.3033, 0.8, -1.92], -0.4744],
    ['GSPO (NeMo RL)', gspo, toOld, nemo, [-0.9086, 0.9086, -1.8171], -0.6057],
    [
      'GSPO, TIS of sequences at 0.8 (NeMo RL)',
      gspo,
      tis(0.8, 'sequence'),
      nemo,
      [-0.7268, 0.7268, -1.4537],
      -0.4846,
    ],
    ['GSPO weighed (NeMo RL)', gspo, tis(1e6, 'sequence'), nemo, [-0.7439, 0.7439, -1.4877], -0.4959],
    ['CISPO 1 +- 0.2 (calculated of NeMo RL)', verlCispo, toOld, nemo, [1.35452, -1, 1.42687], 0.5938],
    ['CISPO up to 5 (calculated, TRL)', cispoSurrogate(), toOld, nemo, [0.84657, -1, 1.7836], 0.54339],
    ['SAPO (calculated)', sapoSurrogate(), toOld, nemo, [-1.51016, 1.90476, -4.97969], -1.52836],
    [
      'REINFORCE (NeMo RL)',
      reinforceSurrogate,
      {},
      { logprobs: [[-0.5, -1, -1.5]], behaviour: [[-0.5, -1, -1.5]], advantages: [[1, -1, 2]] },
      [0.5, -1, 3],
      0.8333,
    ],
    ['dual clip at 3 (NeMo RL, SkyRL)', clippedRatio({ dualClip: 3 }), {}, dual, [-0.5, 1, 12], 4.1667],
    ['CISPO 1 +- 0.2 (SkyRL)', verlCispo, {}, dual, [1.35452, -1, -3.34757], -2.993 / 3],
    [
      'SAPO at 1 and 2 (SkyRL)',
      sapoSurrogate({ positiveTemperature: 1, negativeTemperature: 2 }),
      {},
      {
        logprobs: [[-1.5, -0.8, -1.1]],
        behaviour: [[-1, -1, -1]],
        advantages: [[1, -1, 0.5]],
      },
      [-1.61153, 1.21785, -0.95245],
      -1.34613 / 3,
    ],
    [
      'IcePop within 0.5 and 5 (verl)',
      clippedRatio({}),
      { correction: [{ name: 'icepop' }] },
      {
        logprobs: [[-1, -1, -1]],
        old: [[-1, -1, -1]],
        behaviour: [[-0.5, -3.5, -0.8]],
        advantages: [[1, -1, 2]],
      },
      [-0.6065, 0, -1.6375],
      -0.748,
    ],
    [
      'a geometric mask within 0.999 and 1.002, weighed (NeMo RL)',
      clippedRatio({}),
      { correction: [{ name: 'geometric-mask', low: 0.999, high: 1.002 }, ...tis(1e6).correction!] },
      {
        logprobs: [[-1, -1, -1]],
        old: [[-1, -1, -1]],
        behaviour: [[-1.0005, -1.0005, -1.0005]],
        advantages: [[1, -1, 2]],
      },
      [-1.0005, 1.0005, -2.001],
      -0.667,
    ],
  ])('%s', (_name, surrogate, options, lossCase, expected, mean) => {
    expectRow(perToken(surrogate, options, lossCase), expected);
    expectRow([evaluateLoss(policyLoss(surrogate, tokenMean, options), lossCase).loss], [mean]);
  });

  it('CISPO weighed (calculated of NeMo RL)', () => {
    const { loss } = evaluateLoss(policyLoss(verlCispo, tokenMean, tis(1e6)), nemo);
    expectRow([loss], [0.11369]);
  });

  it("prime-rl's DPPO with its penalty (calculated): no token is left out", () => {
    const surrogate = dppoSurrogate({ threshold: 0.2, squaredPenalty: 1e-3 });
    const { loss, metrics } = evaluateLoss(policyLoss(surrogate, tokenMean, toOld), nemo);
    expectRow([3 * loss, metrics['clip_fraction']!], [-2.49937, 0], 5);
  });

  it('DPPO by total variation at 0.2 (SkyRL): moves in the wrong direction are kept', () => {
    const lossCase: LossCase = {
      logprobs: [[-0.3, -2, -0.9]],
      behaviour: [[-1, -1, -1]],
      advantages: [[1, -1, 1]],
    };
    const kept = perToken(dppoSurrogate({ threshold: 0.2 }), {}, lossCase).map((loss) => Number(loss !== 0));
    expect(kept).toEqual([0, 0, 1]);
    const wrong = { ...lossCase, advantages: [[-1, 1, -1]] };
    expect(perToken(dppoSurrogate({ threshold: 0.2 }), {}, wrong)).not.toContain(0);
  });

  it("VESPO's weights (calculated): 1.19081 for good sequences, 0.69556 for bad ones", () => {
    const weighed = (advantage: number) =>
      perToken(vespoSurrogate(), toOld, { ...nemo, advantages: [advantage] }).map(
        (loss, t) => -loss / advantage / nemo.logprobs[0]![t]!,
      );
    expectRow(weighed(1), [1.19081, 1.19081, 1.19081]);
    expectRow(weighed(-1), [0.69556, 0.69556, 0.69556]);
  });
});

describe('corrections', () => {
  const weights = (old: number[], options: CorrectionOptions, mask = old.map(() => 1)) => {
    const lossCase = {
      logprobs: [old],
      old: [old],
      behaviour: [old.map(() => 0)],
      advantages: [1],
      mask: [mask],
    };
    const masked = evaluateLoss((terms) => tokenMean(correct(terms, options).masked, terms), lossCase).loss;
    const ofTokens = (terms: LossTerms) => pick(mul(correct(terms, options).weight, terms.mask), terms);
    return { weights: eachToken(ofTokens, lossCase), masked };
  };

  it('TIS by token at 2 (SkyRL): a third is capped', () => {
    const found = weights([0.5, -0.5, 1], { name: 'tis' });
    expectRow(found.weights, [1.6487, 0.6065, 2]);
    expect(found.masked).toBeCloseTo(1 / 3, 6);
  });

  it('TIS by sequence (SkyRL): the product over chosen tokens', () => {
    const options = { name: 'tis', level: 'sequence', bound: 5 } as const;
    expectRow(weights([0.5, -0.5, 1], options).weights, [2.7183, 2.7183, 2.7183]);
    expectRow(weights([0.5, -0.5, 1], options, [1, 0, 1]).weights, [4.4817, 0, 4.4817]);
  });

  it('IcePop (verl): weights 0, 0.8 and 0 of 0.4, 0.8 and 6, two thirds out of bounds', () => {
    const found = weights([0.4, 0.8, 6].map(Math.log), { name: 'icepop' });
    expectRow(found.weights, [0, 0.8, 0]);
    expect(found.masked).toBeCloseTo(2 / 3, 6);
    const mean = found.weights.reduce((a, b) => a + b) / 3;
    const variance = found.weights.reduce((sum, w) => sum + (w - mean) ** 2, 0) / 3;
    expectRow([Math.sqrt(variance)], [0.3771236], 6);
  });
});

describe('divergences (NeMo RL): log-prob -1 against 0, -15 and -30', () => {
  it.each<[DivergenceOptions, number[]]>([
    [{ estimator: 'k1' }, [-1, 14, 29]],
    [{ estimator: 'k2' }, [0.5, 98, 420.5]],
    [{ estimator: 'k3' }, [0.7183, 13, 28]],
    [{ estimator: 'k3', clamp: 10 }, [0.7183, 10, 10]],
    [{ estimator: 'k2', clamp: 10 }, [0.5, 10, 10]],
    [{ estimator: 'k1', clamp: 10 }, [-1, 10, 10]],
    [{ estimator: 'k3+' }, [0.7183, 13, 28]],
  ])('%j', (options, expected) => {
    const others = [0, -15, -30];
    const inNumbers = others.map((other) => divergenceOf(-1, other, options));
    const inGraph = others.map(
      (other) =>
        evaluateLoss((terms) => tokenMean(divergence(terms.logprobs, terms.reference, options), terms), {
          logprobs: [[-1]],
          reference: [[other]],
          advantages: [0],
        }).loss,
    );
    expectRow(inNumbers, expected);
    expectRow(inGraph, inNumbers, 5);
  });
});

describe('advantages', () => {
  it('RLOO of groups [6, 3], [9, 12] and [1] (SkyRL)', () => {
    expect([[6, 3], [9, 12], [1]].flatMap(leaveOneOutAdvantage)).toEqual([3, -3, -3, 3, 0]);
  });

  it('Dr. GRPO and MaxRL of groups [6, 3] and [9, 12] (SkyRL)', () => {
    const groups = [
      [6, 3],
      [9, 12],
    ];
    expect(groups.flatMap((group) => drGrpo({ normalizationTokens: 1 }).advantage(group, []))).toEqual([
      1.5, -1.5, -1.5, 1.5,
    ]);
    expectRow(groups.flatMap(maxRlAdvantage), [1.5 / 4.5, -1.5 / 4.5, -1.5 / 10.5, 1.5 / 10.5], 6);
  });

  it('one success in four (calculated): GRPO, Dr. GRPO, RLOO, MaxRL', () => {
    const rewards = [1, 0, 0, 0];
    expectRow(groupRelativeAdvantage({ stdEpsilon: 1e-6 })(rewards), [1.499997, ...three(-0.499999)], 6);
    expectRow(groupRelativeAdvantage({ normalizeByStd: false })(rewards), [0.75, ...three(-0.25)], 9);
    expectRow(leaveOneOutAdvantage(rewards), [1, ...three(-1 / 3)], 9);
    expectRow(maxRlAdvantage(rewards), [2.999988, ...three(-0.999996)], 6);
  });

  it('REINFORCE++-baseline over two groups of one-token answers (calculated), by both deviations', () => {
    const groups = [
      [1, 0, 0, 0],
      [1, 1, 0, 0],
    ];
    const whitened = (whitening: 'population' | 'unbiased') => {
      const { advantage, acrossBatch } = reinforcePlusPlusBaseline({ whitening });
      const tokens = [1, 1, 1, 1];
      return acrossBatch(
        groups.map((rewards) => ({ rewards, advantages: advantage(rewards, []), tokens })),
      ).flat() as number[];
    };
    const [high, low] = [1.069045, -1.069045];
    expectRow(whitened('population'), [1.603567, ...three(-0.534522), high, high, low, low], 6);
    expectRow(whitened('unbiased'), [1.5, ...three(-0.5), 1, 1, -1, -1], 6);
  });

  it('whitens 3.5 and 1.5 around a masked token (SkyRL, by the unbiased deviation)', () => {
    const advantages = [[3.5, 0, 1.5]];
    const [[whitened]] = whiten({ whitening: 'unbiased' })([{ rewards: [0], advantages, tokens: [2] }]) as [
      [number[]],
    ];
    expectRow([whitened[0]!, whitened[2]!], [0.7071, -0.7071]);
  });

  it('pass@k (calculated): the best of [3, 1, 0] gets 2 over a deviation of 1.5275, the others nothing', () => {
    expectRow(bestOfGroupAdvantage()([3, 1, 0]), [2 / (1.527525 + 1e-6), 0, 0], 5);
    expect(bestOfGroupAdvantage({ normalizeByStd: false })([3, 1, 0])).toEqual([2, 0, 0]);
    expect(bestOfGroupAdvantage()([1, 1, 0]).map(Math.abs)).toEqual([0, 0, 0]);
  });
});

describe('means (SkyRL)', () => {
  it.each<[string, BatchMean, number[][], number[][], number]>([
    [
      'over tokens',
      tokenMean,
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      [
        [1, 1, 0],
        [1, 1, 1],
      ],
      3.6,
    ],
    [
      'over sequences',
      sequenceMean,
      [
        [1, 2],
        [3, 4],
      ],
      [
        [1, 1],
        [1, 0],
      ],
      2.25,
    ],
    [
      'by the longest',
      constantMean(10),
      [
        [2, 3],
        [9, 12],
      ],
      [
        [1, 1],
        [1, 0],
      ],
      0.7,
    ],
    ['over tokens of none', tokenMean, [[1, 2]], [[0, 0]], 0],
    ['over sequences of none', sequenceMean, [[1, 2]], [[0, 0]], 0],
    ['by the longest of none', constantMean(10), [[1, 2]], [[0, 0]], 0],
  ])('%s', (_name, mean, logprobs, mask, expected) => {
    const lossCase = { logprobs, mask, advantages: logprobs.map(() => 0) };
    expect(evaluateLoss((terms) => mean(terms.logprobs, terms), lossCase).loss).toBeCloseTo(expected, 6);
  });
});

describe('the overlong penalty at 20480 with a buffer of 4096', () => {
  const at = (tokens: number, cap: 'factor' | 'none' = 'factor') =>
    overlongPenalty(tokens, { maxTokens: 20_480, buffer: 4_096, cap });

  it('is 0 to the buffer, a half in its middle, 1 at the longest (DAPO)', () => {
    expect([at(16_384), at(18_432), at(20_480)]).toEqual([0, -0.5, -1]);
  });

  it('ends there (OpenRLHF), or goes on (AReaL, verl): 21000 tokens', () => {
    expect(at(21_000)).toBe(-1);
    expectRow([at(21_000, 'none')], [-1.127], 3);
  });
});

const three = (value: number): number[] => [value, value, value];
