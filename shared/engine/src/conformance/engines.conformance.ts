import { engineCandidates } from '@forge/testing';
import { createEngine, type Engine } from '..';

/** Describes what each engine does; one that is not there is skipped, and the name says why. */
export function describeEngines(describeOne: (engine: Engine) => void): void {
  for (const { name, options, missing } of engineCandidates()) {
    const title = missing === null ? name : `${name} (skipped: ${missing})`;
    (missing === null ? describe : describe.skip)(title, () => describeOne(createEngine(options)));
  }
}
