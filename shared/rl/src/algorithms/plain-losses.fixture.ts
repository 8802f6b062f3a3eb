/** One sequence's chosen tokens. `fixed` is `logprobs` as far as no gradient flows through them. */
export interface PlainSequence {
  logprobs: number[];
  fixed: number[];
  behaviour: number[];
  old: number[];
  /** The policy that ratios are to. */
  anchor: number[];
  reference: number[];
  lag: number[];
  advantages: number[];
  entropy: number[];
}

/** The loss of each token in plain loops. */
export type PlainLoss = (sequence: PlainSequence) => number[];

const { exp, log, min, max } = Math;
const sum = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0);
const mean = (xs: readonly number[]): number => sum(xs) / max(1, xs.length);
const limit = (x: number, low: number, high: number): number => min(max(x, low), high);
const tokens = (sequence: PlainSequence, loss: (t: number) => number): number[] =>
  sequence.logprobs.map((_, t) => loss(t));

const clipped =
  (low: number, high: number): PlainLoss =>
  (s) =>
    tokens(s, (t) => {
      const ratio = exp(s.logprobs[t]! - s.anchor[t]!);
      return -min(ratio * s.advantages[t]!, limit(ratio, 1 - low, 1 + high) * s.advantages[t]!);
    });

const sequenceClipped =
  (low: number, high: number): PlainLoss =>
  (s) => {
    const whole = exp(mean(s.fixed.map((lp, t) => lp - s.anchor[t]!)));
    return tokens(s, (t) => {
      const ratio = whole * exp(s.logprobs[t]! - s.fixed[t]!);
      return -min(ratio * s.advantages[t]!, limit(ratio, 1 - low, 1 + high) * s.advantages[t]!);
    });
  };

const soft: PlainLoss = (s) =>
  tokens(s, (t) => {
    const temperature = s.advantages[t]! > 0 ? 1 : 1.05;
    const ratio = exp(s.logprobs[t]! - s.anchor[t]!);
    return ((-s.advantages[t]! * 4) / temperature) * (1 / (1 + exp(-temperature * (ratio - 1))));
  });

const geometric: PlainLoss = (s) => {
  const counted = tokens(s, (t) => {
    const logRatio = s.logprobs[t]! - s.anchor[t]!;
    const bounded = limit(logRatio, -0.4, 0.4);
    return s.advantages[t]! < 0 ? max(logRatio, bounded) : min(logRatio, bounded);
  });
  const value = -exp(mean(counted)) * mean(s.advantages);
  return counted.map(() => value);
};

const trusted =
  (divergence: 'tv' | 'kl'): PlainLoss =>
  (s) =>
    tokens(s, (t) => {
      const [now, before] = [exp(s.fixed[t]!), exp(s.anchor[t]!)];
      const coins = before * log(before / now) + (1 - before) * log((1 - before) / (1 - now));
      const isFar = divergence === 'tv' ? Math.abs(now - before) > 0.2 : coins > 0.05;
      if (isFar && (now - before) * s.advantages[t]! > 0) return 0;
      return -min(now / before, 20) * exp(s.logprobs[t]! - s.fixed[t]!) * s.advantages[t]!;
    });

const smooth: PlainLoss = (s) => {
  const logRatio = limit(sum(s.fixed.map((lp, t) => lp - s.anchor[t]!)), log(1e-8), 20);
  return tokens(s, (t) => {
    const [k, lambda] = s.advantages[t]! >= 0 ? [2, 3] : [3, 2];
    return -exp(lambda + k * logRatio - lambda * exp(logRatio)) * s.advantages[t]! * s.logprobs[t]!;
  });
};

const decoupled =
  (proximalOf: (s: PlainSequence, t: number) => number): PlainLoss =>
  (s) =>
    tokens(s, (t) => {
      const proximal = proximalOf(s, t);
      const ratio = exp(s.logprobs[t]! - proximal);
      const free = ratio * s.advantages[t]!;
      const bounded = limit(ratio, 0.8, 1.2) * s.advantages[t]!;
      return -min(free, bounded) * min(exp(proximal - s.behaviour[t]!), 5);
    });

const between = ({ behaviour, fixed, lag }: PlainSequence, t: number): number =>
  behaviour[t]! + (lag[t]! / (lag[t]! + 1)) * (fixed[t]! - behaviour[t]!);

/** The losses of the catalogue, from their formulas. */
export const PLAIN = {
  clipped: clipped(0.2, 0.2),
  clipHigher: clipped(0.2, 0.28),
  gspo: sequenceClipped(3e-4, 4e-4),
  luspo: sequenceClipped(2e-3, 2.5e-3),
  cispo: (s: PlainSequence) =>
    tokens(s, (t) => -limit(exp(s.fixed[t]! - s.anchor[t]!), 0, 5) * s.advantages[t]! * s.logprobs[t]!),
  sapo: soft,
  gmpo: geometric,
  dppoTv: trusted('tv'),
  dppoKl: trusted('kl'),
  vespo: smooth,
  dro: (s: PlainSequence) =>
    tokens(s, (t) => -(s.logprobs[t]! * s.advantages[t]! - 0.025 * (s.logprobs[t]! - s.anchor[t]!) ** 2)),
  decoupled: decoupled(({ old }, t) => old[t]!),
  logLinear: decoupled(between),
  reinforce: (s: PlainSequence) =>
    tokens(s, (t) => -limit(exp(s.fixed[t]! - s.anchor[t]!), 0.1, 10) * s.advantages[t]! * s.logprobs[t]!),
} satisfies Record<string, PlainLoss>;

/** The weights of corrections, from their formulas. */
export const PLAIN_WEIGHTS = {
  none: (s: PlainSequence) => s.logprobs.map(() => 1),
  tis: (s: PlainSequence) => mismatches(s).map((d) => min(exp(d), 2)),
  tisOfSequence: (s: PlainSequence) => s.logprobs.map(() => min(exp(sum(mismatches(s))), 2)),
  icepop: (s: PlainSequence) => mismatches(s).map((d) => (exp(d) >= 0.5 && exp(d) <= 5 ? exp(d) : 0)),
  sequenceMask: (s: PlainSequence) => kept(s, exp(sum(mismatches(s))), 0.5, 2),
  geometricMask: (s: PlainSequence) => kept(s, exp(mean(mismatches(s))), 0.9, 1.1),
  outlier: (s: PlainSequence) =>
    s.logprobs.map(() => (mismatches(s).every((d) => exp(d) >= 0.2 && exp(d) <= 5) ? 1 : 0)),
  opsm: (s: PlainSequence) => {
    const isFar = mean(s.fixed.map((lp, t) => s.behaviour[t]! - lp)) > 0.5;
    return s.logprobs.map(() => (isFar && mean(s.advantages) < 0 ? 0 : 1));
  },
} satisfies Record<string, PlainLoss>;

const mismatches = ({ old, behaviour }: PlainSequence): number[] => old.map((lp, t) => lp - behaviour[t]!);
const kept = ({ logprobs }: PlainSequence, ratio: number, low: number, high: number): number[] =>
  logprobs.map(() => (ratio >= low && ratio <= high ? 1 : 0));

/** The divergences from the reference, from their formulas; `k3+` in value is k3, and in slope k2. */
export const PLAIN_DIVERGENCES = {
  k1: (lp: number, _fixed: number, other: number) => lp - other,
  k2: (lp: number, _fixed: number, other: number) => (lp - other) ** 2 / 2,
  k3: (lp: number, _fixed: number, other: number) => exp(other - lp) - (other - lp) - 1,
  'k3+': (lp: number, fixed: number, other: number) =>
    (lp - other) ** 2 / 2 - (fixed - other) ** 2 / 2 + exp(other - fixed) - (other - fixed) - 1,
};

export const PLAIN_MEANS = {
  token: (losses: number[][]) => sum(losses.flat()) / max(1, losses.flat().length),
  sequence: (losses: number[][]) => mean(losses.map(mean)),
  constant: (losses: number[][]) => sum(losses.flat()) / (losses.length * 10),
  sum: (losses: number[][]) => sum(losses.flat()) / losses.length,
};
