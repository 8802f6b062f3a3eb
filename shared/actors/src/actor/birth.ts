import type { Point } from './extent';

/** Name and place of an actor, known before its constructor runs. */
export interface Birth {
  readonly name: string;
  readonly point: Point;
}

const ALONE: Point = { rank: 0, coordinates: {} };
let current: Birth | null = null;

/** Runs a constructor, which is synchronous, with the birth that the base class finds. */
export function bear<A>(birth: Birth, construct: () => A): A {
  const outer = current;
  current = birth;
  try {
    return construct();
  } finally {
    current = outer;
  }
}

/** Birth of the actor under construction; an actor made by `new`, in a test, is alone and named after its class. */
export function birthOf(className: string): Birth {
  return current ?? { name: className, point: ALONE };
}
