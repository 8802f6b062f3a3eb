import type { Composite, Node, Tensor } from './graph';
import { add, mul } from './elementwise';
import { aside, backward } from './gradient';
import { reduceMax } from './reductions';

/**
 * `fn(inputs)`, whose intermediate results are not kept for the backward pass but computed again there: less memory
 * for the time of one more forward pass (activation recomputation, gradient checkpointing).
 *
 * The second run reads its inputs through an addition of 0 times the incoming gradient. So it can't start before the
 * backward pass reaches it, and the engine does not merge it with the first run.
 *
 * @see https://arxiv.org/abs/1604.06174
 */
export function recompute(
  fn: (inputs: readonly Tensor[]) => readonly Tensor[],
  inputs: readonly Tensor[],
): readonly Tensor[] {
  const { graph } = inputs[0]!;
  const { outputs, entries } = aside(graph, () => fn(inputs));
  const used = usedFromOutside(entries);
  const gradient = (outputGradients: readonly (Tensor | null)[]): (Tensor | null)[] => {
    const nothing = mul(reduceMax(outputGradients.find((dy) => dy !== null)!), 0);
    const again = new Map(used.map((x) => [x, x.node !== null && inputs.includes(x) ? add(x, nothing) : x]));
    const second = aside(graph, () => fn(inputs.map((x) => again.get(x) ?? x)));
    const seeds = new Map<Tensor, Tensor>();
    second.outputs.forEach((y, i) => {
      const dy = outputGradients[i];
      if (dy) seeds.set(y, dy);
    });
    return backward(
      second.entries,
      seeds,
      used.map((x) => again.get(x)!),
    );
  };
  graph.tape.push({ inputs: used, outputs, gradient });
  return outputs;
}

/** The float32 tensors these nodes read and did not make. */
function usedFromOutside(entries: readonly (Node | Composite)[]): Tensor[] {
  const made = new Set(entries.flatMap((entry) => entry.outputs));
  const used = entries.flatMap((entry) =>
    entry.inputs.filter(
      (x): x is Tensor => x !== null && x.dtype === 'float32' && x.data === null && !made.has(x),
    ),
  );
  return [...new Set<Tensor>(used.flatMap((x) => (x === null ? [] : [x])))];
}
