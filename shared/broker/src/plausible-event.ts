import { invalidMessage, type TelemetryEvent } from '@forge/contracts';
import type { ForgeError } from '@forge/errors';

/** How far the run is. */
export interface RunPosition {
  /** Optimizer steps applied. */
  version: number;
  /** Groups admitted so far. */
  admitted: number;
}

/**
 * Why an event of the right form can't be of this run, null when it can: a step or version that is not there yet, a group
 * that was never admitted, a slice outside its evaluation.
 *
 * A step is told before it is committed, so the next one may be told already.
 */
export function implausible(event: TelemetryEvent, { version, admitted }: RunPosition): ForgeError | null {
  switch (event.kind) {
    case 'step':
      return event.step <= version + 1 ? null : unknown(`step ${event.step} of a run at version ${version}`);
    case 'evaluation': {
      const { part, parts, correct, total, failed = 0 } = event;
      if (event.version > version) return unknown(`version ${event.version} of a run at ${version}`);
      return part < parts && correct + failed <= total ? null : unknown(`part ${part} of ${parts}`);
    }
    case 'rollout':
      if (event.version > version) return unknown(`version ${event.version} of a run at ${version}`);
      return event.index < admitted ? null : unknown(`group ${event.index}`);
    case 'control':
      return event.version <= version ? null : unknown(`version ${event.version} of a run at ${version}`);
    case 'service':
    case 'waiting':
    case 'run':
      return null;
  }
}

function unknown(what: string): ForgeError {
  return invalidMessage('telemetry', 'unknown', `there is no ${what}`);
}
