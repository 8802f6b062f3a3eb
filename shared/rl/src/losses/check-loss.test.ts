import { argmax, cast, cumsum, equal, log, mul, neg, pow, reduceMax, stopGradient, sum } from '@forge/graph';
import { grpo } from '../algorithms/grpo';
import { reinforce } from '../algorithms/reinforce';
import { tokenMean } from './batch-mean';
import { defineAlgorithm } from '../algorithms/algorithm';
import { ppo } from '../algorithms/ppo';
import { checkLoss, checkLosses } from './check-loss';
import type { Loss, LossTerms } from './loss';

describe('checkLoss', () => {
  it('passes the losses that are built in', () => {
    for (const { loss } of [grpo(), grpo({ klCoefficient: 1 }), grpo({ loss: 'simple' }), reinforce()])
      expect(() => checkLoss(loss, 'mine.ts')).not.toThrow();
  });

  it('passes ops without a gradient where none is asked for', () => {
    const loss: Loss = (terms) => {
      const { logprobs, advantages } = terms;
      const weight = cast(equal(logprobs, reduceMax(logprobs, [1], { keepDims: true })), 'float32');
      const returns = stopGradient(cumsum(mul(advantages, logprobs), 1));
      return { loss: tokenMean(mul(mul(logprobs, weight), returns), terms) };
    };
    expect(() => checkLoss(loss, 'mine.ts')).not.toThrow();
  });

  const mean = (of: (terms: LossTerms) => LossTerms['mask']): Loss => {
    return (terms) => tokenMean(of(terms), terms);
  };
  it.each<[string, (terms: LossTerms) => unknown, string | RegExp]>([
    [
      'an op without a gradient',
      mean(({ logprobs }) => cumsum(logprobs, 1)),
      /CumSum has no gradient; .*stopGradient/,
    ],
    [
      'a comparison on the only way to logprobs',
      mean(({ logprobs }) => cast(equal(logprobs, 0), 'float32')),
      'it does not depend on logprobs: no gradient gets through Equal, by which alone it uses them',
    ],
    [
      'the index of the largest',
      mean(({ logprobs }) => cast(argmax(logprobs, 1), 'float32')),
      'no gradient gets through ArgMax',
    ],
    [
      'stopGradient around all',
      mean(({ logprobs }) => stopGradient(logprobs)),
      'no gradient gets through stopGradient',
    ],
    [
      'logprobs left out',
      mean(({ entropy }) => neg(entropy)),
      'it does not depend on logprobs: it does not use them',
    ],
    ['one value a token', ({ logprobs }) => neg(logprobs), 'loss: found float32 [B, T], expected float32 []'],
    [
      'one value a sequence',
      ({ logprobs }) => sum(logprobs, [1]),
      'loss: found float32 [B], expected float32 []',
    ],
    ['a truth', ({ logprobs }) => equal(sum(logprobs), 0), 'loss: found bool [], expected float32 []'],
    [
      'shapes that do not fit',
      ({ logprobs }) => sum(mul(logprobs, logprobs.graph.constant([1, 2], [2]))),
      'Mul: dimensions must be equal or 1; got [B, T] and [2]',
    ],
    [
      'a metric of every token',
      (terms) => ({ loss: tokenMean(terms.logprobs, terms), metrics: { kl: terms.logprobs } }),
      "metric 'kl': found float32 [B, T], expected float32 []",
    ],
    [
      'a metric that is a number',
      (terms: LossTerms) => ({ loss: tokenMean(terms.logprobs, terms), metrics: { beta: 0.1 } }),
      "metric 'beta': found number, expected a scalar tensor",
    ],
    ['nothing', () => undefined, 'it returned undefined, expected a scalar tensor or { loss, metrics }'],
    ['a number', () => 0, 'it returned number'],
    ['a promise', () => Promise.resolve(), 'it returned a promise'],
    [
      'an error',
      () => {
        throw new TypeError('no such term');
      },
      'no such term',
    ],
  ])('refuses %s, naming the module', (_name, loss, message) => {
    const check = (): void => checkLoss(loss as Loss, 'mine.ts');
    expect(check).toThrow(expect.objectContaining({ code: 'CONFIG_LOSS_INVALID' }));
    expect(check).toThrow(message);
    expect(check).toThrow("mine.ts: its loss can't be trained: ");
  });

  it('follows a gradient through an exponent', () => {
    expect(() =>
      checkLoss(
        mean(({ logprobs }) => log(pow(2, logprobs))),
        'mine.ts',
      ),
    ).not.toThrow();
  });
});

describe('checkLosses', () => {
  const loss: Loss = ({ logprobs, ...terms }) => tokenMean(neg(logprobs), terms);
  const critic = ppo().critic!;
  const checked = (changes: object) => () =>
    checkLosses({ ...defineAlgorithm({ advantage: () => [], loss, critic }), ...changes }, 'mine.ts');

  it('passes PPO, and a loss of the policy that looks at values where there are some', () => {
    expect(() => checkLosses(ppo(), 'mine.ts')).not.toThrow();
    const curious: Loss = (terms) => tokenMean(mul(terms.logprobs, terms.values), terms);
    expect(checked({ loss: curious })).not.toThrow();
  });

  it.each<[string, object, string]>([
    [
      'values without a critic',
      { critic: null, loss: (terms: LossTerms) => tokenMean(mul(terms.logprobs, terms.returns), terms) },
      "mine.ts: its loss can't be trained: it uses returns, which are zeros: the algorithm has no critic",
    ],
    [
      'a critic that learns no values',
      { critic: { ...critic, loss: (terms: LossTerms) => tokenMean(terms.returns, terms) } },
      "mine.ts: critic: its loss can't be trained: it does not depend on values: it does not use them",
    ],
    [
      'a discount above 1',
      { critic: { ...critic, gamma: 1.1 } },
      'mine.ts: critic.gamma: found 1.1, expected',
    ],
    [
      'a lambda that is no number',
      { critic: { ...critic, lambda: NaN } },
      'critic.lambda: found NaN, expected',
    ],
    [
      'an unknown whitening',
      { critic: { ...critic, whitening: 'white' } },
      'critic.whitening: found white, expected',
    ],
    [
      'a learning rate of 0',
      { critic: { ...critic, learningRate: 0 } },
      'critic.learningRate: found 0, expected',
    ],
  ])('refuses %s', (_, changes, words) => {
    expect(checked(changes)).toThrow(expect.objectContaining({ code: 'CONFIG_LOSS_INVALID' }));
    expect(checked(changes)).toThrow(words);
  });
});
