/** The two dials. Pace: versions that admission may run ahead of the trainer, at most `maxStaleness`. */
export type Dial = 'pace' | 'groupsInFlight';

export type Dials = Readonly<Record<Dial, number>>;

/** Bounds of a dial that is turned; a dial without stays as it is. */
export interface DialRange {
  least: number;
  most: number;
}

/** Means over a window of steps that asynchrony may not go beyond. */
export interface QualityFloors {
  /** Effective sample size, a share: at least. */
  effectiveSampleSize: number;
  /** k3 estimate of KL(behaviour || policy), in nats: at most. */
  behaviourKl: number;
  /** Share of tokens whose ratio was cut: at most. */
  clipFraction: number;
}

export interface TuningRules {
  ranges: Readonly<Partial<Record<Dial, DialRange>>>;
  floors: QualityFloors;
  /** Groups that a step consumes. */
  groupsPerStep: number;
}

/** Figures of one step about the balance of generation and training. */
export interface StepFigures {
  /** Commit of the step before to commit of this one. */
  seconds: number;
  /** Tokens with a gradient. */
  tokens: number;
  /** Share of the time that the trainer waited for a batch. */
  trainerWaits: number;
  /** Share of the time that the policies had nothing to do. */
  policiesIdle: number;
  /** Mean lag of the tokens, in versions. */
  lag: number;
  effectiveSampleSize: number;
  behaviourKl: number;
  clipFraction: number;
}

/** Trained tokens per second, each worth less the older it is. */
export function objective(tokensPerSecond: number, lag: number): number {
  return tokensPerSecond * Math.exp(-lag / FRESHNESS_VERSIONS);
}

/** Versions after which a token is worth 1 / e. */
const FRESHNESS_VERSIONS = 8;
