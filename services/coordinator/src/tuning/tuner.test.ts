import fc from 'fast-check';
import { simulate, type SimulatedBalance } from './simulated-run.fixture';
import { decide, firstState, type TuningState } from './tuner';
import type { Dials, StepFigures, TuningRules } from './tuning-rules';

const GROUPS = 16;
const RULES: TuningRules = {
  ranges: { pace: { least: 1, most: 16 }, groupsInFlight: { least: 1, most: 64 } },
  floors: { effectiveSampleSize: 0.5, behaviourKl: 0.1, clipFraction: 0.3 },
  groupsPerStep: GROUPS,
};
const FIRST: Dials = { pace: 1, groupsInFlight: 2 * GROUPS };

const share = fc.double({ min: 0, max: 1, noNaN: true });
const figures: fc.Arbitrary<StepFigures> = fc.record({
  seconds: fc.double({ min: 1e-3, max: 100, noNaN: true }),
  tokens: fc.integer({ min: 0, max: 1e6 }),
  trainerWaits: share,
  policiesIdle: share,
  lag: fc.double({ min: 0, max: 16, noNaN: true }),
  effectiveSampleSize: share,
  behaviourKl: fc.double({ min: 0, max: 0.2, noNaN: true }),
  clipFraction: share,
});

/** Figures of a step at which nothing is wrong. */
const SOUND: StepFigures = {
  seconds: 1,
  tokens: 1000,
  trainerWaits: 0.05,
  policiesIdle: 0,
  lag: 1,
  effectiveSampleSize: 0.99,
  behaviourKl: 0.001,
  clipFraction: 0.02,
};

/** The states and reasons after each of so many steps of the same figures. */
function after(steps: number, figures: StepFigures, from = firstState(FIRST)) {
  let state = from;
  const reasons: string[] = [];
  for (let i = 0; i < steps; i++) {
    const decision = decide(state, figures, RULES);
    state = decision.state;
    if (decision.reason !== null) reasons.push(decision.reason);
  }
  return { state, reasons };
}

/** Generation that takes `generates` seconds a batch, beside train steps of `trains`. */
const balance = (generates: number, trains: number): SimulatedBalance => ({
  candidates: GROUPS,
  tokensPerGroup: 100,
  halfSpeedAt: 4,
  places: 64,
  trainSeconds: () => trains,
  groupSeconds: (group) => (generates / GROUPS) * (0.8 + (0.4 * ((group * 7919) % 101)) / 101),
});

describe('decide', () => {
  it('keeps the dials within their ranges, moves once a window, and decides alike from alike', () => {
    fc.assert(
      fc.property(fc.array(figures, { minLength: 1, maxLength: 200 }), (steps) => {
        let state: TuningState = firstState(FIRST);
        let sinceMove = Infinity;
        for (const step of steps) {
          const again = decide(JSON.parse(JSON.stringify(state)) as TuningState, step, RULES);
          const { state: next, reason, isDue } = decide(state, step, RULES);
          expect({ state: next, reason, isDue }).toEqual(again);
          expect(next.dials.pace).toBeGreaterThanOrEqual(1);
          expect(next.dials.pace).toBeLessThanOrEqual(16);
          expect(next.dials.groupsInFlight).toBeGreaterThanOrEqual(1);
          expect(next.dials.groupsInFlight).toBeLessThanOrEqual(64);
          sinceMove += 1;
          if (reason === null) expect(next.dials).toEqual(state.dials);
          else {
            expect(isDue).toBe(true);
            expect(sinceMove).toBeGreaterThanOrEqual(6);
            sinceMove = 0;
          }
          state = next;
        }
      }),
    );
  });

  it('never raises a dial in a window that broke a floor', () => {
    const broken = { ...SOUND, trainerWaits: 0.9, policiesIdle: 0.9, effectiveSampleSize: 0.3 };
    fc.assert(
      fc.property(fc.array(figures, { maxLength: 60 }), (steps) => {
        let state = firstState({ pace: 8, groupsInFlight: 64 });
        for (const step of steps) state = decide(state, step, RULES).state;
        state = { ...state, window: firstState(FIRST).window };
        for (let i = 0; i < 100; i++) {
          const next = decide(state, broken, RULES).state;
          expect(next.dials.pace).toBeLessThanOrEqual(state.dials.pace);
          expect(next.dials.groupsInFlight).toBeLessThanOrEqual(state.dials.groupsInFlight);
          state = next;
        }
        expect(state.dials.pace).toBe(1);
      }),
      { numRuns: 50 },
    );
  });

  it('raises the pace while the trainer starves and policies stand still, and names both', () => {
    const { state, reasons } = after(10, { ...SOUND, trainerWaits: 0.4, policiesIdle: 0.3 });
    expect(state.dials.pace).toBe(2);
    expect(reasons).toEqual(['the trainer waits 40 % of its time, policies stand still 30 % of theirs']);
  });

  it('goes back where a raise brought nothing, and leaves it alone for a while', () => {
    const starved = { ...SOUND, trainerWaits: 0.4, policiesIdle: 0.3 };
    const { state, reasons } = after(18, starved);
    expect(reasons[1]).toBe('pace 2 in place of 1 changed the tokens per second by 0 %');
    expect(state.dials.pace).toBe(1);
    // Four windows later it is worth another try, as long as the other dial does not pay either.
    expect(after(20, starved, state).state.holds['raise pace']?.windows).toBeGreaterThan(0);
  });

  it('tries again at once where the balance is another one', () => {
    const { state } = after(18, { ...SOUND, trainerWaits: 0.4, policiesIdle: 0.3 });
    expect(state.holds['raise pace']?.windows).toBe(4);
    expect(after(12, { ...SOUND, trainerWaits: 0.8, policiesIdle: 0.3 }, state).state.dials.pace).toBe(2);
  });

  it('lowers the pace where the trainer is fed and policies have time left', () => {
    const from = firstState({ pace: 8, groupsInFlight: 64 });
    const { state, reasons } = after(10, { ...SOUND, trainerWaits: 0, policiesIdle: 0.5 }, from);
    expect(state.dials.pace).toBe(6);
    expect(reasons[0]).toContain('fresher data');
  });

  it('leaves a dial alone that is not tuned', () => {
    const ranges = { groupsInFlight: RULES.ranges.groupsInFlight! };
    let state = firstState(FIRST);
    for (let i = 0; i < 100; i++)
      state = decide(state, { ...SOUND, trainerWaits: 0.9, policiesIdle: 0.9 }, { ...RULES, ranges }).state;
    expect(state.dials.pace).toBe(1);
  });
});

describe('a simulated run', () => {
  it.each([
    [1, 8],
    [1, 2],
    [1, 1],
    [2, 1],
    [8, 1],
  ])('comes to 95 %% of the best fixed setting where generation and training take %d to %d', (g, t) => {
    const fixed = [1, 2, 4, 8, 16].flatMap((pace) =>
      [16, 32, 64].map((groupsInFlight) => simulate(balance(g, t), 300, { pace, groupsInFlight }, null)),
    );
    const best = Math.max(...fixed.map(({ tokensPerSecond }) => tokensPerSecond));
    const tuned = simulate(balance(g, t), 300, FIRST, RULES);
    expect(tuned.tokensPerSecond / best).toBeGreaterThan(0.95);
  });

  it('stays at a pace whose data is good enough', () => {
    const stale = { ...balance(1, 1), sampleSize: (lag: number) => Math.max(0, 1 - 0.2 * lag) };
    const free = simulate(balance(1, 1), 400, FIRST, RULES);
    const tuned = simulate(stale, 400, FIRST, RULES);
    expect(free.lag).toBeGreaterThan(3);
    expect(tuned.lag).toBeLessThan(2.5);
    expect(tuned.stepsBelow).toBeLessThan(0.25 * 400);
  });
});
