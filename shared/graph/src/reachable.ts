import type { Attribute, LoopBody, Node, Tensor } from './graph';
import { defineOp } from './op';

/** Everything that some outputs need. */
export interface Reachable {
  nodes: Node[];
  inputs: Tensor[];
  constants: Tensor[];
}

export interface ReachableOptions {
  /** Whether ops that can be expanded are, for an engine that lacks them. */
  expands?: boolean;
}

/** The tensors and nodes that `outputs` need, of their own graph and of those around it, in an order in which they can run. */
export function reachable(outputs: readonly Tensor[], options: ReachableOptions = {}): Reachable {
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
      const needed = item.inputs.filter((x): x is Tensor => x !== null).concat(captured(item, options));
      for (const x of needed.reverse()) stack.push({ item: x, isDone: false });
    } else if (item.node !== null) {
      const expanded = options.expands === true && item.node.op.expand !== undefined;
      stack.push({ item: expanded ? expansionOf(item.node).get(item)! : item.node, isDone: false });
    } else if (item.data !== null) found.constants.push(item);
    else found.inputs.push(item);
  }
  return found;
}

const copyOp = defineOp({ type: 'Identity', reference: ([x]) => [x!] });
const expansions = new WeakMap<Node, ReadonlyMap<Tensor, Node>>();

/** The nodes that give each output of `node` from what it expands to. */
function expansionOf(node: Node): ReadonlyMap<Tensor, Node> {
  const known = expansions.get(node);
  if (known !== undefined) return known;
  const { graph, outputs, index } = node;
  const start = graph.tape.length;
  const made = node.op.expand!(node);
  // The tape is what is differentiated: there the op itself stands.
  graph.tape.splice(start);
  const copies = new Map<Tensor, Node>(
    outputs.map((y, i) => [
      y,
      { op: copyOp, inputs: [made[i]!], outputs: [y], attributes: {}, graph, index },
    ]),
  );
  expansions.set(node, copies);
  return copies;
}

/** The tensors of the graphs around it that a loop body uses; none for other nodes. */
export function captured(node: Node, options: ReachableOptions = {}): Tensor[] {
  const body = node.attributes.body;
  if (!isBody(body)) return [];
  const { nodes, inputs, constants } = reachableInside(body, options);
  const inner = new Set(nodes.flatMap((inside) => inside.outputs));
  const used = nodes.flatMap((inside) => [...inside.inputs, ...captured(inside, options)]);
  const outer = used.filter((x): x is Tensor => x !== null && !inner.has(x) && x.graph !== body.body);
  return [...new Set([...outer, ...constants, ...inputs.filter((x) => x.graph !== body.body)])];
}

/** The nodes and tensors that one round of a loop needs; of the nodes only its own. */
export function reachableInside({ body, outputs }: LoopBody, options: ReachableOptions = {}): Reachable {
  const all = reachable(outputs, options);
  return { ...all, nodes: all.nodes.filter((node) => node.graph === body) };
}

export function isBody(attribute: Attribute | undefined): attribute is Extract<Attribute, { body: unknown }> {
  return typeof attribute === 'object' && 'body' in attribute;
}
