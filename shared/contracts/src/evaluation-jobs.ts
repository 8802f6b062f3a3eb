import type { RolloutJob } from './messages';
import type { Sample } from './sample';
import { SCHEMA_VERSION } from './schema-version';

const SAMPLES_PER_JOB = 64;

/** The slices of an evaluation of a version, one job each. */
export function evaluationJobs(
  version: number,
  samples: readonly Sample[],
): Extract<RolloutJob, { kind: 'evaluation' }>[] {
  const parts = Math.ceil(samples.length / SAMPLES_PER_JOB);
  return Array.from({ length: parts }, (_, part) => ({
    kind: 'evaluation',
    schemaVersion: SCHEMA_VERSION.rolloutJob,
    minVersion: version,
    part,
    parts,
    samples: samples.slice(part * SAMPLES_PER_JOB, (part + 1) * SAMPLES_PER_JOB),
  }));
}
