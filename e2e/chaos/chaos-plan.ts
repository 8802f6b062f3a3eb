import { seededRandom, type Random } from '@forge/testing';

/** Parts that can die: every kind of service of a run without agents, and Redis. */
export const KINDS = [
  'coordinator',
  'policy',
  'reference',
  'reward',
  'replay-buffer',
  'trainer',
  'redis',
] as const;
export type Kind = (typeof KINDS)[number] | 'gateway';
/** Parts that can die in a run whose rollouts agents make, and reward. */
export const AGENT_KINDS: readonly Kind[] = [
  'gateway',
  'coordinator',
  'policy',
  'replay-buffer',
  'trainer',
  'redis',
];

/**
 * One blow: `kill` is SIGKILL of all victims at once, `hang` a SIGSTOP for longer than a heartbeat lasts, `forget` a
 * SIGKILL of Redis which loses what it acknowledged last, as it may when its disk is busy.
 */
export interface Blow {
  action: 'kill' | 'hang' | 'forget';
  victims: Kind[];
  /** Time between the recovery from the blow before and this one. */
  delayMs: number;
  /** Picks one of several replicas of a kind, 0..1. */
  pick: number;
}

const LONGEST_DELAY_MS = 1_000;
/** Number of kinds that hang per round. */
const HANGS = 2;

/**
 * A seeded series of blows with `kills` victims in all. Every round kills each kind once, two kinds at the same moment,
 * and hangs two; the hangs go round all kinds. The same seed gives the same series, and a longer one begins with it.
 */
export function chaosPlan(seed: number, kills: number, kinds: readonly Kind[] = KINDS): Blow[] {
  const random = seededRandom(seed);
  const blows: Blow[] = [];
  let hanging: Kind[] = [];
  let left = kills;
  while (left > 0) {
    while (hanging.length < HANGS) hanging = [...hanging, ...shuffled(kinds, random)];
    const pair = shuffled(kinds, random).slice(0, 2);
    const round = shuffled(
      [
        ...kinds.map((kind) => ({ action: 'kill' as const, victims: [kind] })),
        { action: 'kill' as const, victims: pair },
        ...hanging.slice(0, HANGS).map((kind) => ({ action: 'hang' as const, victims: [kind] })),
      ],
      random,
    );
    hanging = hanging.slice(HANGS);
    for (const { action, victims } of round) {
      if (left <= 0) break;
      const delayMs = Math.round(random() * LONGEST_DELAY_MS);
      blows.push({ action, victims: victims.slice(0, left), delayMs, pick: random() });
      left -= victims.length;
    }
  }
  return blows;
}

/** A seeded series of losses of memory of Redis. */
export function forgettingPlan(seed: number, count: number): Blow[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => ({
    action: 'forget',
    victims: ['redis'],
    delayMs: Math.round(random() * LONGEST_DELAY_MS),
    pick: 0,
  }));
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}
