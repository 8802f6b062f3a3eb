import { types } from 'node:util';
import type { Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';

/** Part of a rollout that is not the model: an environment, or a tool. */
export interface Party {
  kind: 'environment' | 'tool' | 'agent';
  name: string;
  sample: Sample;
}

/** Whether an environment had no place for a rollout. */
export function isFull(error: unknown): boolean {
  return error instanceof ForgeError && error.code === 'CAPACITY_ENVIRONMENT_FULL';
}

/**
 * The error of a party that failed: with the code of what it threw, if that is one of ours, else transient; naming party and
 * sample, so that a dead letter does.
 */
export function faultOf(party: Party, cause: unknown): ForgeError {
  const said = named(party, messageOf(cause));
  if (!(cause instanceof ForgeError))
    return new ForgeError('TRANSIENT_ENVIRONMENT_FAILED', said, namesOf(party), { cause });
  return new ForgeError(cause.code, said, { ...cause.details, ...namesOf(party) }, { cause });
}

/** The error of a party that gave something else than it has to: trying again is no use. */
export function wrongResult(
  party: Party,
  problem: string,
  code: 'CONTRACT_INVALID_MESSAGE' | 'NUMERIC_NON_FINITE' = 'CONTRACT_INVALID_MESSAGE',
): ForgeError {
  return new ForgeError(code, named(party, problem), namesOf(party));
}

function named({ kind, name, sample }: Party, said: string): string {
  return `${kind} '${name}' for sample '${sample.id}': ${said}`;
}

function namesOf({ kind, name, sample }: Party): Record<string, string> {
  return { [kind]: name, sampleId: sample.id };
}

/** The message of what code of the user threw, which may come from another realm and be any value. */
export function messageOf(thrown: unknown): string {
  return types.isNativeError(thrown) ? thrown.message : String(thrown);
}
