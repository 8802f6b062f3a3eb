import type { Point } from './extent';

/** What an actor knows of itself before its own constructor runs. */
export interface Birth {
  readonly name: string;
  readonly point: Point;
}

const ALONE: Point = { rank: 0, coordinates: {} };
let current: Birth | null = null;

/** Runs a constructor, which is synchronous, with what the base class shall find. */
export function bear<A>(birth: Birth, construct: () => A): A {
  const outer = current;
  current = birth;
  try {
    return construct();
  } finally {
    current = outer;
  }
}

/** Of the actor under construction; an actor made by `new`, in a test, is alone and called after its class. */
export function birthOf(className: string): Birth {
  return current ?? { name: className, point: ALONE };
}
