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
/** Before the same three of a value model. */
const CRITIC = 'critic.';
/** One number: optimizer updates beyond one a step, where there are any. */
const EXTRA_UPDATES = 'extraUpdates';

/** Both of Adam's moments, the value model, and the parameters where what is published of them is rounded. */
export interface TrainingState<T extends Tensors = Tensors> {
  state: OptimizerState<T>;
  parameters: T | null;
}

/** Writes what training goes on with to one file, which appears complete or not at all; its seal. */
export async function writeMoments(file: string, { state, parameters }: TrainingState): Promise<Seal> {
  const { firstMoments, secondMoments, extraUpdates = 0, critic } = state;
  const tensors = new Map<string, NamedTensor | UnreadTensor>();
  const add = (prefix: string, group: Tensors | null | undefined): void => {
    for (const [name, tensor] of group ?? []) tensors.set(prefix + name, tensor);
  };
  add(FIRST, firstMoments);
  add(SECOND, secondMoments);
  add(PARAMETER, parameters);
  add(CRITIC + FIRST, critic?.firstMoments);
  add(CRITIC + SECOND, critic?.secondMoments);
  add(CRITIC + PARAMETER, critic?.parameters);
  if (extraUpdates > 0) tensors.set(EXTRA_UPDATES, { shape: [1], data: Float32Array.of(extraUpdates) });
  const { sizeBytes, sha256 } = await writeSafetensors(file, tensors, { dtype: 'F32' });
  return { sizeBytes, sha256 };
}

/** The state that a file holds, written after `step` steps. */
export async function readMoments(file: string, step: number): Promise<TrainingState<Parameters>> {
  const tensors = await readSafetensors(file);
  const group = (prefix: string): Parameters =>
    new Map(
      [...tensors].flatMap(([name, tensor]) =>
        name.startsWith(prefix) ? [[name.slice(prefix.length), tensor] as const] : [],
      ),
    );
  const moments = (prefix: string) => ({
    firstMoments: group(prefix + FIRST),
    secondMoments: group(prefix + SECOND),
  });
  const [parameters, values] = [group(PARAMETER), group(CRITIC + PARAMETER)];
  const extraUpdates = tensors.get(EXTRA_UPDATES)?.data[0];
  const state = {
    step,
    ...(extraUpdates !== undefined && { extraUpdates }),
    ...moments(''),
    ...(values.size > 0 && { critic: { parameters: values, ...moments(CRITIC) } }),
  };
  return { state, parameters: parameters.size === 0 ? null : parameters };
}
