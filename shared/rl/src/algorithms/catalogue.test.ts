import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import type { CorrectionOptions } from '../losses/corrections/correction';
import { evaluateLoss, expectMatrixClose, type LossCase } from '../losses/loss.fixture';
import type { Algorithm } from './algorithm';
import { cispo } from './cispo';
import { dapo } from './dapo';
import { decoupledPpo } from './decoupled-ppo';
import { dppo } from './dppo';
import { drGrpo } from './dr-grpo';
import { dro } from './dro';
import { gdpo } from './gdpo';
import { gmpo } from './gmpo';
import { grpo } from './grpo';
import { gspo } from './gspo';
import { luspo } from './luspo';
import { maxrl } from './maxrl';
import { opd } from './opd';
import { opo } from './opo';
import { passAtK } from './pass-at-k';
import {
  PLAIN,
  PLAIN_DIVERGENCES,
  PLAIN_MEANS,
  PLAIN_WEIGHTS,
  type PlainLoss,
  type PlainSequence,
} from './plain-losses.fixture';
import type { PolicyOptions } from './policy-algorithm';
import { ppo } from './ppo';
import { reinforce } from './reinforce';
import { reinforcePlusPlus } from './reinforce-plus-plus';
import { reinforcePlusPlusBaseline } from './reinforce-plus-plus-baseline';
import { remax } from './remax';
import { rloo } from './rloo';
import { sapo } from './sapo';
import { vespo } from './vespo';

type Mean = keyof typeof PLAIN_MEANS;
interface Listed {
  make: (options: PolicyOptions) => Algorithm;
  plain: PlainLoss;
  mean: Mean;
  /** The variant of an algorithm, behind its name. */
  variant?: string;
  /** Set where a reference model takes part without a divergence. */
  needsReference?: boolean;
}

const listed: Record<string, Listed> = {
  grpo: { make: grpo, plain: PLAIN.clipped, mean: 'token' },
  'grpo, by sequences': {
    make: (o) => grpo({ normalization: 'sequence', ...o }),
    plain: PLAIN.clipped,
    mean: 'sequence',
  },
  'dr-grpo': {
    make: (o) => drGrpo({ normalizationTokens: 10, ...o }),
    plain: PLAIN.clipped,
    mean: 'constant',
  },
  rloo: { make: rloo, plain: PLAIN.clipped, mean: 'token' },
  maxrl: { make: maxrl, plain: PLAIN.clipped, mean: 'token' },
  'reinforce++': { make: reinforcePlusPlus, plain: PLAIN.clipped, mean: 'token' },
  'reinforce++-baseline': { make: reinforcePlusPlusBaseline, plain: PLAIN.clipped, mean: 'token' },
  remax: { make: remax, plain: PLAIN.clipped, mean: 'token' },
  opd: { make: opd, plain: PLAIN.clipped, mean: 'token', needsReference: true },
  opo: { make: opo, plain: PLAIN.clipped, mean: 'token' },
  gdpo: { make: gdpo, plain: PLAIN.clipped, mean: 'token' },
  'pass-at-k': { make: passAtK, plain: PLAIN.clipped, mean: 'token' },
  ppo: { make: ppo, plain: PLAIN.clipped, mean: 'token' },
  dapo: { make: dapo, plain: PLAIN.clipHigher, mean: 'token' },
  gspo: { make: gspo, plain: PLAIN.gspo, mean: 'sequence' },
  luspo: { make: luspo, plain: PLAIN.luspo, mean: 'sum' },
  cispo: { make: cispo, plain: PLAIN.cispo, mean: 'token' },
  sapo: { make: sapo, plain: PLAIN.sapo, mean: 'sequence' },
  gmpo: { make: gmpo, plain: PLAIN.gmpo, mean: 'sequence' },
  dppo: { make: dppo, plain: PLAIN.dppoTv, mean: 'token' },
  'dppo, kl': { make: (o) => dppo({ divergence: 'kl', ...o }), plain: PLAIN.dppoKl, mean: 'token' },
  vespo: { make: vespo, plain: PLAIN.vespo, mean: 'token' },
  dro: { make: dro, plain: PLAIN.dro, mean: 'token' },
  'decoupled-ppo': { make: decoupledPpo, plain: PLAIN.decoupled, mean: 'token' },
  'decoupled-ppo, log-linear': {
    make: (o) => decoupledPpo({ proximal: 'log-linear', ...o }),
    plain: PLAIN.logLinear,
    mean: 'token',
  },
  reinforce: { make: reinforce, plain: PLAIN.reinforce, mean: 'token' },
};

const CORRECTIONS: Record<keyof typeof PLAIN_WEIGHTS, CorrectionOptions[]> = {
  none: [],
  tis: [{ name: 'tis' }],
  tisOfSequence: [{ name: 'tis', level: 'sequence' }],
  icepop: [{ name: 'icepop' }],
  sequenceMask: [{ name: 'sequence-mask' }],
  geometricMask: [{ name: 'geometric-mask', low: 0.9, high: 1.1 }],
  outlier: [{ name: 'outlier', low: 0.2, high: 5 }],
  opsm: [{ name: 'opsm' }],
};
const WEIGHING = ['tis', 'tisOfSequence', 'icepop'];

interface RandomCase {
  batch: LossCase & Required<Pick<LossCase, 'behaviour' | 'old' | 'reference' | 'lag' | 'mask' | 'entropy'>>;
  correction: keyof typeof PLAIN_WEIGHTS;
  klEstimator: keyof typeof PLAIN_DIVERGENCES;
  klCoefficient: number;
  bonus: number;
}

const [ROWS, COLUMNS] = [3, 4];
const matrix = <T>(value: fc.Arbitrary<T>) => {
  const row = fc.array(value, { minLength: COLUMNS, maxLength: COLUMNS });
  return fc.array(row, { minLength: ROWS, maxLength: ROWS });
};
const between = (min: number, max: number) => fc.double({ min, max, noNaN: true });
const cases: fc.Arbitrary<RandomCase> = fc.record({
  batch: fc.record({
    logprobs: matrix(between(-2, -0.1)),
    behaviour: matrix(between(-2, -0.1)),
    old: matrix(between(-2, -0.1)),
    reference: matrix(between(-2, -0.1)),
    lag: matrix(fc.integer({ min: 0, max: 3 })),
    mask: matrix(fc.constantFrom(0, 1, 1)),
    entropy: matrix(between(0, 3)),
    advantages: matrix(between(-2, 2)),
  }),
  correction: fc.constantFrom(...(Object.keys(CORRECTIONS) as (keyof typeof CORRECTIONS)[])),
  klEstimator: fc.constantFrom(...(Object.keys(PLAIN_DIVERGENCES) as (keyof typeof PLAIN_DIVERGENCES)[])),
  klCoefficient: fc.constantFrom(0, 0.3),
  bonus: fc.constantFrom(0, 0.1),
});

const optionsOf = ({ correction, klEstimator, klCoefficient, bonus }: RandomCase): PolicyOptions => ({
  correction: CORRECTIONS[correction],
  klEstimator,
  klCoefficient,
  entropy: { bonus },
});

function plainValue(name: string, random: RandomCase, at: number[][] = random.batch.logprobs): number {
  const { plain, mean } = listed[name]!;
  const { batch, correction, klEstimator, klCoefficient, bonus } = random;
  const losses = batch.logprobs.map((_, b) => {
    const chosen = (term: number[][]): number[] => term[b]!.filter((_value, t) => batch.mask[b]![t] === 1);
    const sequence: PlainSequence = {
      logprobs: chosen(at),
      fixed: chosen(batch.logprobs),
      behaviour: chosen(batch.behaviour),
      old: chosen(batch.old),
      anchor: chosen(WEIGHING.includes(correction) ? batch.old : batch.behaviour),
      reference: chosen(batch.reference),
      lag: chosen(batch.lag),
      advantages: chosen(batch.advantages as number[][]),
      entropy: chosen(batch.entropy),
    };
    const weights = PLAIN_WEIGHTS[correction](sequence);
    return plain(sequence).map((loss, t) => {
      const [lp, fixed] = [sequence.logprobs[t]!, sequence.fixed[t]!];
      const kl = PLAIN_DIVERGENCES[klEstimator](lp, fixed, sequence.reference[t]!);
      return weights[t]! * loss + klCoefficient * kl - bonus * sequence.entropy[t]!;
    });
  });
  return PLAIN_MEANS[mean](losses);
}

/** The slope at each log-prob by differences to both sides, or null near a kink, where the two differ. */
function plainSlopes(name: string, random: RandomCase, step = 1e-6): number[][] | null {
  const { logprobs } = random.batch;
  const moved = (b: number, t: number, by: number) =>
    plainValue(
      name,
      random,
      logprobs.map((row, i) => row.map((lp, j) => (i === b && j === t ? lp + by : lp))),
    );
  const here = plainValue(name, random);
  const slopes = logprobs.map((row, b) =>
    row.map((_, t) => {
      const [up, down] = [(moved(b, t, step) - here) / step, (here - moved(b, t, -step)) / step];
      return Math.abs(up - down) < 1e-3 ? (up + down) / 2 : null;
    }),
  );
  return slopes.flat().includes(null) ? null : (slopes as number[][]);
}

describe.each(Object.entries(listed))('%s', (name, { make, needsReference = false }) => {
  it('has the value of its formula in plain loops, whatever corrections and regularisers are with it', () => {
    fc.assert(
      fc.property(cases, (random) => {
        const { loss } = evaluateLoss(make(optionsOf(random)).loss, random.batch);
        const plain = plainValue(name, random);
        expect(Math.abs(loss - plain)).toBeLessThanOrEqual(2e-6 * Math.max(1, Math.abs(plain)));
      }),
      { numRuns: 40 },
    );
  });

  it('has the slope that differences show, with what it holds fixed held fixed', () => {
    fc.assert(
      fc.property(cases, (random) => {
        const slopes = plainSlopes(name, random);
        fc.pre(slopes !== null);
        const { gradient } = evaluateLoss(make(optionsOf(random)).loss, random.batch);
        const scale = Math.max(1, ...slopes.flat().map(Math.abs));
        expectMatrixClose(gradient, slopes, 1e-5 * scale);
      }),
      { numRuns: 15 },
    );
  });

  it('adds up over micro-batches: loss, metrics and slope', () => {
    fc.assert(
      fc.property(cases, (random) => {
        const { loss } = make(optionsOf(random));
        const tokenCount = random.batch.mask.flat().reduce((a, b) => a + b, 0);
        const whole = evaluateLoss(loss, random.batch);
        const parts = random.batch.logprobs.map((_, b) => {
          const row = Object.entries(random.batch).map(([term, rows]) => [term, [rows[b]!]]);
          return evaluateLoss(loss, {
            ...(Object.fromEntries(row) as typeof random.batch),
            tokenCount,
            sequenceCount: ROWS,
          });
        });
        const total = (value: (part: (typeof parts)[number]) => number) =>
          parts.reduce((sum, part) => sum + value(part), 0);
        expect(total((part) => part.loss)).toBeCloseTo(whole.loss, 9);
        for (const [metric, value] of Object.entries(whole.metrics))
          expect(total((part) => part.metrics[metric]!)).toBeCloseTo(value, 9);
        expectMatrixClose(
          parts.flatMap(({ gradient }) => gradient),
          whole.gradient,
          1e-9 * Math.max(1, ...whole.gradient.flat().map(Math.abs)),
        );
      }),
      { numRuns: 10 },
    );
  });

  it('does not depend on padding, however large what stands there', () => {
    const loss = (at: number) =>
      evaluateLoss(make({ correction: [{ name: 'outlier' }], klCoefficient: 0.1 }).loss, {
        logprobs: [[-1, -at]],
        behaviour: [[-1.1, at]],
        old: [[-1.05, -2 * at]],
        reference: [[-1.2, at]],
        entropy: [[0.5, at]],
        lag: [[1, at]],
        advantages: [[1, at]],
        mask: [[1, 0]],
      });
    expect(loss(1e6)).toEqual(loss(0));
    expect(loss(1e6).gradient[0]![1]).toBeCloseTo(0, 12);
  });

  it('needs the reference model for its divergence alone, unless that is a teacher', () => {
    expect(make({}).needsReference).toBe(needsReference);
    expect(make({ klCoefficient: 0.1 }).needsReference).toBe(true);
  });
});

describe('the list above', () => {
  it('has every algorithm that a file here makes', () => {
    const files = readdirSync(__dirname).filter((file) => /(?<!\.test|\.fixture)\.ts$/.test(file));
    const names = files.flatMap((file) => {
      const text = readFileSync(join(__dirname, file), 'utf8');
      return /policyAlgorithm\([\s\S]*?name: '([^']+)'/.exec(text)?.slice(1) ?? [];
    });
    const shown = new Set(Object.keys(listed).map((name) => name.split(',')[0]!));
    expect(names.filter((name) => !shown.has(name))).toEqual([]);
    expect(names.length).toBe(shown.size);
  });

  it('is of files that open with what is different from the paper', () => {
    const files = readdirSync(__dirname).filter((file) => /(?<!\.test|\.fixture)\.ts$/.test(file));
    const algorithms = files.filter((file) => !['algorithm.ts', 'policy-algorithm.ts'].includes(file));
    for (const file of algorithms) {
      const [comment] = readFileSync(join(__dirname, file), 'utf8').split('*/');
      expect([file, /^\/\*[\s\S]*\bDiffers\s/.test(comment!)]).toEqual([file, true]);
    }
  });
});
