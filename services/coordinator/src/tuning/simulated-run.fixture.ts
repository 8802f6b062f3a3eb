import { decide, firstState, type TuningState } from './tuner';
import { objective, type Dials, type StepFigures, type TuningRules } from './tuning-rules';

/** A pipeline whose services take the time that they are said to take. */
export interface SimulatedBalance {
  candidates: number;
  tokensPerGroup: number;
  /** Seconds of a train step; of one that begins at a time, where it changes. */
  trainSeconds: (step: number) => number;
  /** Seconds that the policies take for a group when they work at full batches. */
  groupSeconds: (group: number, step: number) => number;
  /** Groups together at which the policies are at half of their full speed. */
  halfSpeedAt: number;
  /** Groups that the policies can have under way together. */
  places: number;
  /** Effective sample size of data of a lag. */
  sampleSize?: (lag: number) => number;
  /** Bound of the lag of what is trained; none unless given. */
  maxStaleness?: number;
  /** Whether a batch waits for groups that would be too old for the next one, or they are given up. */
  stragglers?: 'wait' | 'drop';
}

export interface SimulatedRun {
  seconds: number;
  tokensPerSecond: number;
  objective: number;
  lag: number;
  /** Steps whose effective sample size was below the floor. */
  stepsBelow: number;
  /** Every change of the dials. */
  moves: { dials: Dials; reason: string }[];
  dials: Dials;
  /** Groups discarded as too old, when they were done or before. */
  discarded: number[];
}

interface Group {
  index: number;
  left: number;
  version: number;
}

/** Time of a tick, as a share of the shortest of all that is simulated. */
const TICK_SHARE = 1 / 32;

/**
 * Steps of a run by the rules of admission: a group starts while those started are fewer than (version + pace + 1) *
 * candidates and fewer than `groupsInFlight` are under way; the groups under way share the policies, which are quicker the
 * fuller their batches are; a batch takes the oldest finished groups, and waits for those that would be too old for the next one; the place of one that is discarded is another's. With `rules` the dials are tuned.
 */
export function simulate(
  balance: SimulatedBalance,
  steps: number,
  dials: Dials,
  rules: TuningRules | null,
): SimulatedRun {
  const { candidates, tokensPerGroup, halfSpeedAt, places, sampleSize = () => 1 } = balance;
  const { maxStaleness = Infinity, stragglers = 'wait' } = balance;
  let state: TuningState = firstState(dials);
  const moves: SimulatedRun['moves'] = [];
  const discarded: number[] = [];
  const working: Group[] = [];
  const [buffer, queued]: [Group[], number[]] = [[], []];
  /** Discards the groups that are too old to be trained next. */
  const discardStale = (groups: Group[]): void => {
    for (let i = groups.length - 1; i >= 0; i--) {
      if (version - groups[i]!.version <= maxStaleness) continue;
      discarded.push(...groups.splice(i, 1).map(({ index }) => index));
      started -= 1;
    }
  };
  let [now, version, next, started, stepStartedAt, waited, idle, lags, below] = [0, 0, 0, 0, 0, 0, 0, 0, 0];
  let training: { until: number; lag: number } | null = null;
  let score = 0;
  while (version < steps) {
    const tick =
      TICK_SHARE * Math.min(balance.trainSeconds(version), candidates * balance.groupSeconds(0, version));
    const { pace, groupsInFlight } = state.dials;
    const bound = Math.min(steps, version + pace + 1) * candidates;
    for (; started < bound && working.length + queued.length < groupsInFlight; started++) queued.push(next++);
    while (queued.length > 0 && working.length < places) {
      const index = queued.shift()!;
      working.push({ index, left: balance.groupSeconds(index, version), version });
    }
    const each = working.length === 0 ? 0 : tick / (working.length + halfSpeedAt);
    for (const group of working) group.left -= each;
    if (working.length === 0) idle += tick;
    for (let i = working.length - 1; i >= 0; i--)
      if (working[i]!.left <= 0) buffer.push(...working.splice(i, 1));
    if (training === null) discardStale(buffer);
    const isAwaited = ({ version: oldest }: Group): boolean => oldest + maxStaleness === version;
    const waits = stragglers === 'wait' && working.some(isAwaited);
    if (training === null && buffer.length >= candidates && !waits) {
      buffer.sort((a, b) => a.index - b.index);
      const batch = buffer.splice(0, candidates);
      const lag = batch.reduce((sum, group) => sum + version - group.version, 0) / candidates;
      training = { until: now + balance.trainSeconds(version), lag };
    }
    if (training === null) waited += tick;
    now += tick;
    if (training === null || now < training.until) continue;
    const seconds = now - stepStartedAt;
    const figures: StepFigures = {
      ...{ seconds, tokens: candidates * tokensPerGroup, lag: training.lag },
      ...{ trainerWaits: waited / seconds, policiesIdle: idle / seconds },
      ...{ effectiveSampleSize: sampleSize(training.lag), behaviourKl: 0, clipFraction: 0 },
    };
    if (rules !== null) {
      const decision = decide(state, figures, rules);
      state = decision.state;
      if (decision.reason !== null) moves.push({ dials: state.dials, reason: decision.reason });
      if (figures.effectiveSampleSize < rules.floors.effectiveSampleSize) below += 1;
    }
    lags += training.lag;
    score += objective(figures.tokens, training.lag);
    version += 1;
    if (stragglers === 'drop') discardStale(working);
    [stepStartedAt, waited, idle, training] = [now, 0, 0, null];
  }
  return {
    seconds: now,
    tokensPerSecond: (steps * candidates * tokensPerGroup) / now,
    objective: score / now,
    lag: lags / steps,
    stepsBelow: below,
    moves,
    dials: state.dials,
    discarded,
  };
}
