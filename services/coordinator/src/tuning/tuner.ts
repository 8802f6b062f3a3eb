import type { Dial, DialRange, Dials, StepFigures, TuningRules } from './tuning-rules';
import {
  brokenFloor,
  isFull,
  meansOf,
  NO_STEPS,
  withStep,
  type TuningWindow,
  type WindowMeans,
} from './tuning-window';

/** The trainer starves above the first share of its time, and is fed below the second. */
const [STARVES, FED] = [0.08, 0.03];
/** Policies stand still above this share of their time. */
const STILL = 0.05;
/** Gain that a raise needs to be kept, and loss that a lowering may cost: shares of the tokens per second. */
const [PAYS, COSTS] = [0.01, 0.01];
/** Windows that a direction which did not pay is left alone: at first, and doubled each time in a row up to the last. */
const HOLD = { raise: 4, lower: 8 };
const LONGEST_HOLD = 64;
/** Change of the trainer's waiting, a share of its time, that makes what was tried before worth trying again. */
const OTHER_BALANCE = 0.15;
/** Windows in which no dial is raised after a floor was broken: the first time, doubled each time up to the longest. */
const CAUTION = 8;
/** Steps until a move shows, beside those that what was added or taken away takes to be trained. */
const SETTLING = 2;

type Direction = 'raise' | 'lower';

/** A direction in which a dial is not turned for a while. */
interface Hold {
  windows: number;
  /** How long the next one lasts. */
  next: number;
  /** Share of its time that the trainer waited then: where it is another one, the hold is void; null: it never is. */
  trainerWaits: number | null;
}

/** A move whose effect is not known yet. */
interface Trial {
  dial: Dial;
  direction: Direction;
  from: Dials;
  tokensPerSecond: number;
}

/** All that the tuner knows; plain data, which the run keeps. */
export interface TuningState {
  dials: Dials;
  window: TuningWindow;
  /** Steps that are still left out of the window. */
  settling: number;
  trial: Trial | null;
  holds: Readonly<Partial<Record<`${Direction} ${Dial}`, Hold>>>;
  /** Windows without a raise after the next broken floor. */
  caution: number;
}

export interface Decision {
  state: TuningState;
  /** Why the dials of the state are others than before; null where they stay. */
  reason: string | null;
  /** Whether a window ended, so that the state is worth keeping. */
  isDue: boolean;
}

export function firstState(dials: Dials): TuningState {
  return { dials, window: NO_STEPS, settling: SETTLING, trial: null, holds: {}, caution: CAUTION };
}

/**
 * The state after a step, and at most one move per window: back from a trial that did not pay; down where a floor is broken;
 * up where the trainer starves; down where it is fed and policies have time left, for fresher data. A move is a trial
 * until the next window has shown what it brings. Same states and steps, same decisions. The dials stay within their
 * ranges.
 */
export function decide(state: TuningState, step: StepFigures, rules: TuningRules): Decision {
  if (state.settling > 0)
    return { state: { ...state, settling: state.settling - 1 }, reason: null, isDue: false };
  const window = withStep(state.window, step);
  if (!isFull(window)) return { state: { ...state, window }, reason: null, isDue: false };
  const fresh = { ...state, window: NO_STEPS, holds: passed(state.holds) };
  return { ...atWindow(fresh, meansOf(window), rules), isDue: true };
}

type Turned = Omit<Decision, 'isDue'>;

function atWindow(state: TuningState, means: WindowMeans, rules: TuningRules): Turned {
  const broken = brokenFloor(means, rules.floors);
  if (broken !== null) return fresher(state, broken, rules);
  const { trial } = state;
  if (trial === null) return next(state, means, rules);
  const gain = means.tokensPerSecond / trial.tokensPerSecond - 1;
  const pays = trial.direction === 'raise' ? gain >= PAYS : gain >= -COSTS;
  return pays ? next(confirmed(state, trial), means, rules) : back(state, trial, gain, means, rules);
}

/** The move that the balance asks for, when none is under trial. */
function next(state: TuningState, means: WindowMeans, rules: TuningRules): Turned {
  const { trainerWaits, policiesIdle } = means;
  const waits = `the trainer waits ${percent(trainerWaits)} of its time`;
  const both = `${waits}, policies stand still ${percent(policiesIdle)} of theirs`;
  if (trainerWaits > STARVES) {
    const areHeldUp = policiesIdle > STILL;
    const reason = areHeldUp ? both : waits;
    return (
      tried(state, areHeldUp ? 'pace' : 'groupsInFlight', 'raise', reason, means, rules) ??
      tried(state, areHeldUp ? 'groupsInFlight' : 'pace', 'raise', reason, means, rules) ??
      stays(state)
    );
  }
  if (trainerWaits < FED && policiesIdle > STILL)
    return tried(state, 'pace', 'lower', `${both}: fresher data`, means, rules) ?? stays(state);
  return stays(state);
}

const stays = (state: TuningState): Turned => ({ state, reason: null });

/** A turn in a direction that is not held, as a trial; null where there is no room. */
function tried(
  state: TuningState,
  dial: Dial,
  direction: Direction,
  reason: string,
  { tokensPerSecond, trainerWaits }: WindowMeans,
  rules: TuningRules,
): Turned | null {
  const hold = state.holds[`${direction} ${dial}`];
  if (hold !== undefined && isHeld(hold, trainerWaits)) return null;
  const dials = turnedDials(state.dials, dial, direction, rules);
  if (dials[dial] === state.dials[dial]) return null;
  const trial: Trial = { dial, direction, from: state.dials, tokensPerSecond };
  return turned({ ...state, trial }, dials, reason, rules);
}

function isHeld({ windows, trainerWaits }: Hold, now: number): boolean {
  return windows > 0 && (trainerWaits === null || Math.abs(now - trainerWaits) < OTHER_BALANCE);
}

/** The dials after a broken floor: a lower pace, or fewer groups in flight where that is all there is to lower. */
function fresher(state: TuningState, broken: string, rules: TuningRules): Turned {
  const { caution } = state;
  const hold: Hold = { windows: caution, next: HOLD.raise, trainerWaits: null };
  const holds = { ...state.holds, 'raise pace': hold, 'raise groupsInFlight': hold };
  const careful = { ...state, trial: null, holds, caution: Math.min(LONGEST_HOLD, 2 * caution) };
  for (const dial of ['pace', 'groupsInFlight'] as const) {
    const dials = turnedDials(state.dials, dial, 'lower', rules);
    if (dials[dial] !== state.dials[dial]) return turned(careful, dials, broken, rules);
  }
  return stays(careful);
}

/** The dials as they were before a trial that did not pay, whose direction is left alone for a while. */
function back(
  state: TuningState,
  { dial, direction, from }: Trial,
  gain: number,
  { trainerWaits }: WindowMeans,
  rules: TuningRules,
): Turned {
  const key = `${direction} ${dial}` as const;
  const windows = state.holds[key]?.next ?? HOLD[direction];
  const hold: Hold = { windows, next: Math.min(LONGEST_HOLD, 2 * windows), trainerWaits };
  const reason = `${dial} ${state.dials[dial]} in place of ${from[dial]} changed the tokens per second by ${percent(gain)}`;
  return turned({ ...state, trial: null, holds: { ...state.holds, [key]: hold } }, from, reason, rules);
}

/** A trial that paid: its direction may be taken again at once. */
function confirmed(state: TuningState, { dial, direction }: Trial): TuningState {
  const key = `${direction} ${dial}`;
  const holds = Object.fromEntries(Object.entries(state.holds).filter(([held]) => held !== key));
  return { ...state, trial: null, holds };
}

function turned(state: TuningState, dials: Dials, reason: string, { groupsPerStep }: TuningRules): Turned {
  const versions = Math.abs(dials.pace - state.dials.pace);
  const groups = Math.abs(dials.groupsInFlight - state.dials.groupsInFlight);
  const settling = SETTLING + Math.max(versions, Math.ceil((2 * groups) / groupsPerStep));
  return { state: { ...state, dials, settling }, reason };
}

/** The dials with one turned. More groups than a pace admits can't be in flight: the pace is raised with them. */
function turnedDials(
  dials: Dials,
  dial: Dial,
  direction: Direction,
  { ranges, groupsPerStep }: TuningRules,
): Dials {
  const range = ranges[dial];
  if (range === undefined) return dials;
  const value = within(range, direction === 'raise' ? raised(dials[dial]) : lowered(dials[dial]));
  if (dial === 'pace' || direction === 'lower') return { ...dials, [dial]: value };
  const needed = Math.max(dials.pace, Math.ceil(value / groupsPerStep) - 1);
  const pace = ranges.pace === undefined ? dials.pace : within(ranges.pace, needed);
  const admitted = (pace + 1) * groupsPerStep;
  return { pace, groupsInFlight: Math.max(dials.groupsInFlight, Math.min(value, admitted)) };
}

function passed(holds: TuningState['holds']): TuningState['holds'] {
  return Object.fromEntries(
    Object.entries(holds).map(([key, hold]) => [key, { ...hold, windows: Math.max(0, hold.windows - 1) }]),
  );
}

const raised = (value: number): number => 2 * Math.max(1, value);
const lowered = (value: number): number => Math.min(value - 1, Math.round(value * 0.75));
const within = ({ least, most }: DialRange, value: number): number => Math.min(most, Math.max(least, value));
const percent = (share: number): string => `${Math.round(100 * share)} %`;
