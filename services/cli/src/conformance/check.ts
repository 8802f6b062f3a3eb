import { isDeepStrictEqual } from 'node:util';
import { ForgeError } from '@forge/errors';

/** One thing that a part has to do. */
export interface Check {
  name: string;
  /** Section of docs/wire.md that says so. */
  section: string;
  /** Without it the checks after it make no sense. */
  isVital?: boolean;
  /** It ends the part, which is then to be started again. */
  endsPart?: boolean;
  /** The fault in words, with the expected and the found; null when all is well. */
  faultOf: () => Promise<string | null>;
}

/** Outcome of a check. */
export interface Outcome {
  name: string;
  section: string;
  state: 'passed' | 'failed' | 'skipped';
  /** Why it is not passed. */
  why: string | null;
}

/** The part under test, as checks need it. */
export interface Restartable {
  canStart: boolean;
  /** Starts it unless it runs. */
  ensure: () => void;
}

/** Makes the checks one after the other, with the part running at the beginning of each, and tells of each at once. */
export async function outcomesOf(
  checks: readonly Check[],
  part: Restartable,
  tell: (outcome: Outcome) => void,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let missing: string | null = null;
  for (const check of checks) {
    const { name, section, isVital = false, endsPart = false } = check;
    let [state, why]: [Outcome['state'], string | null] = ['skipped', null];
    if (missing !== null) why = `"${missing}" is needed for it`;
    else if (endsPart && !part.canStart) why = 'it ends the part: --command says how to start it again';
    else {
      part.ensure();
      why = await check.faultOf().catch((error: unknown) => ForgeError.from(error).message);
      state = why === null ? 'passed' : 'failed';
      if (isVital && state === 'failed') missing = name;
    }
    const outcome = { name, section, state, why };
    outcomes.push(outcome);
    tell(outcome);
  }
  return outcomes;
}

/** The first fault of several. */
export async function firstFault(
  ...faults: (() => string | null | Promise<string | null>)[]
): Promise<string | null> {
  for (const faultOf of faults) {
    const fault = await faultOf();
    if (fault !== null) return fault;
  }
  return null;
}

/** Characters of a value that is shown. */
const SHOWN = 400;

/** A fault in the words of all checks; null where both are the same. */
export function difference(what: string, expected: unknown, found: unknown): string | null {
  if (isDeepStrictEqual(expected, found)) return null;
  const [wanted, came] = [expected, found].map((value) => (JSON.stringify(value) ?? 'none').slice(0, SHOWN));
  return `expected ${what}: ${wanted}, found ${came}`;
}
