import type { OptimizerState } from '@forge/model';
import { readSafetensors, writeSafetensors, type Parameters } from '@forge/weights';
import type { Seal } from './seal';

const FIRST = 'first.';
const SECOND = 'second.';

/** Writes both of Adam's moments to one file, which appears complete or not at all; its seal. */
export async function writeMoments(
  file: string,
  { firstMoments, secondMoments }: OptimizerState,
): Promise<Seal> {
  const tensors: Parameters = new Map();
  for (const [name, moment] of firstMoments) tensors.set(FIRST + name, moment);
  for (const [name, moment] of secondMoments) tensors.set(SECOND + name, moment);
  const { sizeBytes, sha256 } = await writeSafetensors(file, tensors, { dtype: 'F32' });
  return { sizeBytes, sha256 };
}

/** The moments in a file, after `step` updates. */
export async function readMoments(file: string, step: number): Promise<OptimizerState> {
  const tensors = await readSafetensors(file);
  const moments = (prefix: string): Parameters =>
    new Map(
      [...tensors].flatMap(([name, moment]) =>
        name.startsWith(prefix) ? [[name.slice(prefix.length), moment] as const] : [],
      ),
    );
  return { step, firstMoments: moments(FIRST), secondMoments: moments(SECOND) };
}
