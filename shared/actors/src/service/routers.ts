import { ForgeError } from '@forge/errors';

/** A replica that takes calls, as a router sees it. */
export interface Candidate {
  readonly index: number;
  /** Calls under way and queued. */
  readonly load: number;
  /** Sessions bound to it. */
  readonly sessions: number;
}

/** A call that needs a replica. */
export interface RoutedCall {
  readonly endpoint: string;
  readonly args: readonly unknown[];
}

/** Picks one of at least one candidate, which are in the order of their indices. */
export type Router = (candidates: readonly Candidate[], call: RoutedCall) => Candidate;
export type RouterName = 'round-robin' | 'least-loaded' | 'power-of-two-choices';

/** Each in turn, beginning with the second. */
export function roundRobin(): Router {
  let next = 0;
  return (candidates) => {
    next = (next + 1) % candidates.length;
    return candidates[next]!;
  };
}

/** The one with the lowest load; among equals the one with the fewest sessions, then the first. */
export function leastLoaded(): Router {
  return (candidates) => candidates.reduce((best, one) => (isLess(one, best) ? one : best));
}

/** The less loaded of two different ones drawn at random; O(1) for many replicas. `random` gives [0, 1). */
export function powerOfTwoChoices(random: () => number): Router {
  return (candidates) => {
    const n = candidates.length;
    const first = Math.floor(random() * n);
    const second = n === 1 ? first : (first + 1 + Math.floor(random() * (n - 1))) % n;
    const [a, b] = [candidates[first]!, candidates[second]!];
    return isLess(b, a) ? b : a;
  };
}

function isLess(a: Candidate, b: Candidate): boolean {
  return a.load < b.load || (a.load === b.load && a.sessions < b.sessions);
}

export function routerOf(chosen: RouterName | Router): Router {
  if (typeof chosen === 'function') return checked(chosen);
  if (chosen === 'round-robin') return roundRobin();
  if (chosen === 'least-loaded') return leastLoaded();
  return powerOfTwoChoices(Math.random);
}

/** A router of the user's, whose mistakes concern the one call. */
function checked(router: Router): Router {
  return (candidates, call) => {
    const picked = router(candidates, call) as Candidate | undefined;
    if (picked !== undefined && candidates.includes(picked)) return picked;
    throw new ForgeError(
      'CONFIG_INVALID',
      `the router picked ${describe(picked)}, which is none of its candidates`,
      {
        candidates: candidates.map(({ index }) => index),
      },
    );
  };
}

function describe(picked: Candidate | undefined): string {
  return picked === undefined ? 'nothing' : `replica ${picked.index}`;
}
