import type { Attribute, LoopBody, Node, Tensor } from './graph';

/** What some outputs need. */
export interface Reachable {
  nodes: Node[];
  inputs: Tensor[];
  constants: Tensor[];
}

/** The tensors and nodes that `outputs` need, of their own graph and of those around it, in an order in which they can run. */
export function reachable(outputs: readonly Tensor[]): Reachable {
  const found: Reachable = { nodes: [], inputs: [], constants: [] };
  const seen = new Set<Tensor | Node>();
  // Depth first with an explicit stack: a deep model would overflow the call stack.
  const stack: { item: Tensor | Node; isDone: boolean }[] = [...outputs]
    .reverse()
    .map((item) => ({ item, isDone: false }));
  while (stack.length > 0) {
    const { item, isDone } = stack.pop()!;
    if (isDone) {
      found.nodes.push(item as Node);
      continue;
    }
    if (seen.has(item)) continue;
    seen.add(item);
    if ('op' in item) {
      stack.push({ item, isDone: true });
      const needed = item.inputs.filter((x): x is Tensor => x !== null).concat(captured(item));
      for (const x of needed.reverse()) stack.push({ item: x, isDone: false });
    } else if (item.node !== null) stack.push({ item: item.node, isDone: false });
    else if (item.data !== null) found.constants.push(item);
    else found.inputs.push(item);
  }
  return found;
}

/** The tensors of the graphs around it that a loop body uses; none for other nodes. */
export function captured(node: Node): Tensor[] {
  const body = node.attributes.body;
  if (!isBody(body)) return [];
  const { nodes, inputs, constants } = reachableInside(body);
  const inner = new Set(nodes.flatMap((inside) => inside.outputs));
  const used = nodes.flatMap((inside) => [...inside.inputs, ...captured(inside)]);
  const outer = used.filter((x): x is Tensor => x !== null && !inner.has(x) && x.graph !== body.body);
  return [...new Set([...outer, ...constants, ...inputs.filter((x) => x.graph !== body.body)])];
}

/** The nodes and tensors that one round of a loop needs; of the nodes only its own. */
export function reachableInside({ body, outputs }: LoopBody): Reachable {
  const all = reachable(outputs);
  return { ...all, nodes: all.nodes.filter((node) => node.graph === body) };
}

export function isBody(attribute: Attribute | undefined): attribute is Extract<Attribute, { body: unknown }> {
  return typeof attribute === 'object' && 'body' in attribute;
}
