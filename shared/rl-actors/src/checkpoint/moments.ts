import type { OptimizerState } from '@forge/model';
import {
  readSafetensors,
  writeSafetensors,
  type NamedTensor,
  type Parameters,
  type Tensors,
  type UnreadTensor,
} from '@forge/weights';
import type { Seal } from './seal';

const FIRST = 'first.';
const SECOND = 'second.';
const PARAMETER = 'parameter.';

/** Both of Adam's moments, and the parameters where what is published of them is rounded. */
export interface TrainingState<T extends Tensors = Tensors> {
  state: OptimizerState<T>;
  parameters: T | null;
}

/** Writes what training goes on with to one file, which appears complete or not at all; its seal. */
export async function writeMoments(
  file: string,
  { state: { firstMoments, secondMoments }, parameters }: TrainingState,
): Promise<Seal> {
  const tensors = new Map<string, NamedTensor | UnreadTensor>();
  for (const [name, moment] of firstMoments) tensors.set(FIRST + name, moment);
  for (const [name, moment] of secondMoments) tensors.set(SECOND + name, moment);
  for (const [name, parameter] of parameters ?? []) tensors.set(PARAMETER + name, parameter);
  const { sizeBytes, sha256 } = await writeSafetensors(file, tensors, { dtype: 'F32' });
  return { sizeBytes, sha256 };
}

/** The state that a file holds, written after `step` updates. */
export async function readMoments(file: string, step: number): Promise<TrainingState<Parameters>> {
  const tensors = await readSafetensors(file);
  const group = (prefix: string): Parameters =>
    new Map(
      [...tensors].flatMap(([name, tensor]) =>
        name.startsWith(prefix) ? [[name.slice(prefix.length), tensor] as const] : [],
      ),
    );
  const parameters = group(PARAMETER);
  return {
    state: { step, firstMoments: group(FIRST), secondMoments: group(SECOND) },
    parameters: parameters.size === 0 ? null : parameters,
  };
}
