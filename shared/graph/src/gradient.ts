import { ForgeError } from '@forge/errors';
import { shapeError } from './dim';
import type { Composite, Graph, Node, Tensor } from './graph';
import { add } from './elementwise';
import { zeros } from './layout';
import { reachable } from './reachable';

/**
 * The gradients of a scalar with respect to `wrt`, as new nodes of the graph (reverse-mode differentiation). The
 * gradient of something the loss does not depend on is zeros.
 *
 * @throws {ForgeError} SHAPE_MISMATCH when the loss is not a scalar; CONFIG_LOSS_INVALID naming the op when it depends on
 *   `wrt` through one without a gradient.
 */
export function grad(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (loss.rank !== 0) throw shapeError('grad', 'the loss must be a scalar', [loss.shape]);
  const seeds = new Map([[loss, loss.graph.scalar(1)]]);
  const gradients = backward(loss.graph.tape, seeds, wrt);
  return wrt.map((tensor, i) => gradients[i] ?? zeros(loss.graph, tensor.shape));
}

/**
 * The reach of the gradient of `loss`: true when it gets to `x`, and the ops on the way that let none through: stopGradient,
 * and ops whose results are not of float32, by their types in ONNX.
 */
export function dependence(loss: Tensor, x: Tensor): { hasGradient: boolean; cutBy: string[] } {
  const reached = new Set<Tensor>([x]);
  const cutBy = new Set<string>();
  for (const { op, inputs, outputs } of reachable([loss]).nodes) {
    if (!inputs.some((input) => input !== null && reached.has(input))) continue;
    const passing = op.type === 'Identity' ? [] : outputs.filter(({ dtype }) => dtype === 'float32');
    if (passing.length === 0) cutBy.add(op.type === 'Identity' ? 'stopGradient' : op.type);
    for (const y of passing) reached.add(y);
  }
  return { hasGradient: reached.has(loss), cutBy: [...cutBy] };
}

/** Carries gradients back along a tape from those of some of its tensors (`seeds`) to those of `wrt`. */
export function backward(
  tape: readonly (Node | Composite)[],
  seeds: ReadonlyMap<Tensor, Tensor>,
  wrt: readonly Tensor[],
): (Tensor | null)[] {
  const entries = [...tape];
  const dependent = new Set<Tensor>(wrt);
  for (const { inputs, outputs } of entries) {
    if (inputs.some((x) => x !== null && dependent.has(x))) {
      for (const y of outputs) if (y.dtype === 'float32') dependent.add(y);
    }
  }
  const gradients = new Map(seeds);
  for (const entry of entries.reverse()) {
    const outputGradients = entry.outputs.map((y) => gradients.get(y) ?? null);
    if (outputGradients.every((dy) => dy === null)) continue;
    if (!entry.inputs.some((x) => x !== null && dependent.has(x))) continue;
    const wanted = (i: number): boolean => {
      const x = entry.inputs[i];
      return x !== null && x !== undefined && dependent.has(x);
    };
    const inputGradients =
      'op' in entry ? nodeGradients(entry, outputGradients, wanted) : entry.gradient(outputGradients, wanted);
    entry.inputs.forEach((x, i) => {
      const dx = inputGradients[i];
      if (x === null || !dx || !dependent.has(x)) return;
      const known = gradients.get(x);
      gradients.set(x, known ? add(known, dx) : dx);
    });
  }
  return wrt.map((tensor) => gradients.get(tensor) ?? null);
}

function nodeGradients(
  node: Node,
  outputGradients: readonly (Tensor | null)[],
  wanted: (input: number) => boolean,
): readonly (Tensor | null)[] {
  // Identity stands for stopGradient; ops without outputs of float32 never get here.
  if (node.op.type === 'Identity' || node.op.type === 'Cast') return [];
  if (node.op.gradient === undefined) {
    const message = `${node.op.type} has no gradient; pass its result through stopGradient(...) where it is to count as constant, or build the loss without it`;
    throw new ForgeError('CONFIG_LOSS_INVALID', message, { op: node.op.type });
  }
  const dy = outputGradients[0];
  if (!dy || outputGradients.some((other, i) => i > 0 && other !== null)) {
    throw new ForgeError('BUG_INVARIANT', `${node.op.type} has a gradient of its first output only`, {
      op: node.op.type,
    });
  }
  return node.op.gradient(node, dy, wanted);
}

/**
 * Runs `forward` and has its result differentiated by `gradient` instead of op by op. Gradients flow to `inputs`
 * only; `gradient` answers in their order.
 */
export function composite(
  graph: Graph,
  inputs: readonly Tensor[],
  forward: () => readonly Tensor[],
  gradient: Composite['gradient'],
): readonly Tensor[] {
  const { outputs } = aside(graph, forward);
  graph.tape.push({ inputs, outputs, gradient });
  return outputs;
}

/** Runs `forward` and takes what it put on the tape off it again; the tensors stay usable. */
export function aside(
  graph: Graph,
  forward: () => readonly Tensor[],
): { outputs: readonly Tensor[]; entries: (Node | Composite)[] } {
  const start = graph.tape.length;
  const outputs = forward();
  return { outputs, entries: graph.tape.splice(start) };
}
