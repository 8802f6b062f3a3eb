import {
  simulate,
  type SimulatedBalance,
  type SimulatedRun,
} from '../services/coordinator/src/tuning/simulated-run.fixture';
import type { Dials, TuningRules } from '../services/coordinator/src/tuning/tuning-rules';

const STEPS = 600;
const GROUPS = 16;
const SEEDS = [1, 2];
const PACES = [0, 1, 2, 4, 8, 16];
const IN_FLIGHT = [4, 8, 16, 32, 64];
const FLOOR = 0.5;

const RULES: TuningRules = {
  ranges: { pace: { least: 1, most: 16 }, groupsInFlight: { least: 1, most: 64 } },
  floors: { effectiveSampleSize: FLOOR, behaviourKl: 1, clipFraction: 1 },
  groupsPerStep: GROUPS,
};
const FIRST: Dials = { pace: 1, groupsInFlight: 2 * GROUPS };

/** A number in [0, 1) by seed and place. */
function drawn(seed: number, place: number): number {
  let x = Math.imul(seed * 7919 + place * 104_729 + 1, 2_654_435_761) >>> 0;
  x = Math.imul(x ^ (x >>> 15), 2_246_822_519) >>> 0;
  return ((x ^ (x >>> 13)) >>> 0) / 2 ** 32;
}

/** Seconds that a batch takes to generate at full batches, and to train on. */
function balance(
  generates: number,
  trains: number,
  seed: number,
  { hasLongTail = false, spread = 0.1 }: { hasLongTail?: boolean; spread?: number } = {},
): SimulatedBalance {
  const length = (group: number): number =>
    hasLongTail ? (drawn(seed, group) < 0.1 ? 6 : 0.45) : 0.8 + 0.4 * drawn(seed, group);
  return {
    candidates: GROUPS,
    tokensPerGroup: 100,
    halfSpeedAt: 4,
    places: 64,
    maxStaleness: 16,
    trainSeconds: (step) => trains * differing(spread, drawn(seed, -step)),
    groupSeconds: (group, step) =>
      (generates / GROUPS) * length(group) * differing(spread - 0.1, drawn(seed + SEEDS.length, -step)),
  };
}

/** Factor of a time that differs from step to step. */
const differing = (spread: number, draw: number): number => 1 - spread + 2 * spread * draw;

/** One that changes from four times as much training to four times as much generation in the middle of the run. */
function shifting(seed: number): SimulatedBalance {
  const at = (step: number) => (step < STEPS / 2 ? balance(1, 4, seed) : balance(4, 1, seed));
  return {
    ...balance(1, 1, seed),
    trainSeconds: (step) => at(step).trainSeconds(step),
    groupSeconds: (group, step) => at(step).groupSeconds(group, step),
  };
}

const BALANCES: Record<string, (seed: number) => SimulatedBalance> = {
  'generation to training 1:8': (seed) => balance(1, 8, seed),
  '1:2': (seed) => balance(1, 2, seed),
  '2:1': (seed) => balance(2, 1, seed),
  '8:1': (seed) => balance(8, 1, seed),
  'from 1:4 to 4:1 in the middle': shifting,
  '1:1, a tenth of the groups 13 times as long': (seed) => balance(1, 1, seed, { hasLongTail: true }),
  '2:1, steps that differ by 40 % either way': (seed) => balance(2, 1, seed, { spread: 0.4 }),
  '1:1, data of 4 versions below the floor': (seed) => ({
    ...balance(1, 1, seed),
    sampleSize: (lag) => Math.max(0, 1 - 0.13 * lag),
  }),
};

/**
 * The tuner against every fixed setting over simulated balances of generation and training: trained tokens per second over the
 * whole run, as a share of the best fixed setting whose mean lag keeps the floor (target: 0.95), and the share of steps below
 * the floor. Simulated: a run takes no time, and depends on no machine.
 */
export function run(): Promise<void> {
  for (const [name, make] of Object.entries(BALANCES)) {
    console.log(`\n${name}`);
    for (const seed of SEEDS) {
      const simulated = make(seed);
      const { sampleSize = () => 1 } = simulated;
      const fixed = PACES.flatMap((pace) => IN_FLIGHT.map((groupsInFlight) => ({ pace, groupsInFlight })))
        .map((dials) => simulate(simulated, STEPS, dials, null))
        .filter(({ lag }) => sampleSize(lag) >= FLOOR);
      const best = fixed.reduce((one, other) => (other.tokensPerSecond > one.tokensPerSecond ? other : one));
      const tuned = simulate(simulated, STEPS, FIRST, RULES);
      const shareOf = (key: 'tokensPerSecond' | 'objective'): string => (tuned[key] / best[key]).toFixed(3);
      console.log(
        `seed ${seed}: ${shareOf('tokensPerSecond')} of the tokens/s at pace ${best.dials.pace}, ${best.dials.groupsInFlight} groups in flight (objective ${shareOf('objective')}); ` +
          `lag ${tuned.lag.toFixed(1)} against ${best.lag.toFixed(1)}; ${tuned.moves.length} moves, ends at pace ${tuned.dials.pace}, ${tuned.dials.groupsInFlight} in flight; ` +
          `${((100 * tuned.stepsBelow) / STEPS).toFixed(1)} % of the steps below the floor`,
      );
    }
  }
  for (const maxStaleness of [2, 4, 8]) dropped(maxStaleness);
  return Promise.resolve();
}

/**
 * `batch.stragglers` where a tenth of the groups are 13 times as long: trained groups per second where they are dropped over those
 * where they are waited for, at the best fixed dials of each, and the share of the long groups among those trained.
 */
function dropped(maxStaleness: number): void {
  console.log(
    `\na tenth of the groups 13 times as long, generation to training 1:1, maxStaleness ${maxStaleness}`,
  );
  for (const seed of SEEDS) {
    const best = (stragglers: 'wait' | 'drop'): SimulatedRun =>
      IN_FLIGHT.map((groupsInFlight) => {
        const simulated = { ...balance(1, 1, seed, { hasLongTail: true }), maxStaleness, stragglers };
        return simulate(simulated, STEPS, { pace: maxStaleness, groupsInFlight }, null);
      }).reduce((one, other) => (other.tokensPerSecond > one.tokensPerSecond ? other : one));
    const [waiting, dropping] = [best('wait'), best('drop')];
    const told = ({ discarded }: SimulatedRun): string => {
      const trained = STEPS * GROUPS;
      const isLong = (group: number): boolean => drawn(seed, group) < 0.1;
      const groups = Array.from({ length: trained + discarded.length }, (_, group) => group);
      const long = groups.filter(isLong).length - discarded.filter(isLong).length;
      return `${((100 * long) / trained).toFixed(1)} % of the trained groups are long, ${discarded.length} discarded`;
    };
    console.log(
      `seed ${seed}: ${(dropping.tokensPerSecond / waiting.tokensPerSecond).toFixed(2)} times as many groups a second where they are dropped; ` +
        `wait: ${told(waiting)}; drop: ${told(dropping)}`,
    );
  }
}
