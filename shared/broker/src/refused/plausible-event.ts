import { invalidMessage, type TelemetryEvent } from '@forge/contracts';
import type { ForgeError } from '@forge/errors';

/** Progress of the run. */
export interface RunPosition {
  /** Optimizer steps applied. */
  version: number;
  /** Groups admitted so far. */
  admitted: number;
  /** Phase of the run, e.g. `running`. */
  phase: string;
}

/** States at which a follower of the run ends. */
const ENDS = ['finished', 'failed', 'interrupted'];

/**
 * Reason why an event of the right form can't be of this run, null when it can: a step or version that is not there yet, a group
 * that was never admitted, a slice outside its evaluation, the end of a run that goes on.
 */
export function implausible(event: TelemetryEvent, position: RunPosition): ForgeError | null {
  const { version, admitted, phase } = position;
  switch (event.kind) {
    case 'step':
      return event.step <= version ? null : unknown(`step ${event.step} of a run at version ${version}`);
    case 'evaluation': {
      const { part, parts, correct, total, failed = 0, unjudged = 0 } = event;
      if (event.version > version) return unknown(`version ${event.version} of a run at ${version}`);
      const isSound = part < parts && correct + failed <= total && unjudged <= failed;
      return isSound ? null : unknown(`part ${part} of ${parts}`);
    }
    case 'rollout':
      if (event.version > version) return unknown(`version ${event.version} of a run at ${version}`);
      return event.index < admitted ? null : unknown(`group ${event.index}`);
    case 'control':
      return event.version <= version ? null : unknown(`version ${event.version} of a run at ${version}`);
    case 'run': {
      // Its state is set before its end is told; a coordinator that is started anew interrupts no run.
      const isTrue = event.state === 'interrupted' ? phase !== 'running' : phase === event.state;
      return isTrue || !ENDS.includes(event.state)
        ? null
        : unknown(`run that is ${event.state}: it is ${phase}`);
    }
    case 'progress':
      return event.progress.step <= version + 1
        ? null
        : unknown(`step ${event.progress.step} of a run at version ${version}`);
    case 'service':
    case 'recorded':
    case 'waiting':
      return null;
  }
}

function unknown(what: string): ForgeError {
  return invalidMessage('telemetry', 'unknown', `there is no ${what}`);
}
