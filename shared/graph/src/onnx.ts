import { onnx } from 'onnx-proto';
import type { Dim } from './dim';
import type { Attribute, Node, Tensor } from './graph';

const DTYPE = { float32: 1, int64: 7, bool: 9 } as const;
const ATTRIBUTE = { float: 1, int: 2, string: 3, tensor: 4, graph: 5, ints: 7 } as const;
const IR_VERSION = 9;
const OPERATOR_SETS = [
  { domain: '', version: 20 },
  { domain: 'com.microsoft', version: 1 },
];

/**
 * The ONNX model that computes `outputs` (by name) from the inputs of the graph; what they don't depend on is left
 * out. Constants become initializers.
 */
export function toOnnx(outputs: Readonly<Record<string, Tensor>>): Uint8Array {
  const wanted = Object.entries(outputs);
  const { nodes, inputs, constants } = reachable(wanted.map(([, tensor]) => tensor));
  // An output may be computed under another name, be an input itself, or be asked for twice: it gets a copy.
  const copies = wanted.map(([name, tensor]) => ({
    opType: 'Identity',
    input: [tensor.name],
    output: [name],
  }));
  const model = {
    irVersion: IR_VERSION,
    opsetImport: OPERATOR_SETS,
    producerName: 'forge',
    graph: {
      name: 'forge',
      node: [...nodes.map(nodeProto), ...copies],
      initializer: constants.map(tensorProto),
      input: inputs.map((tensor) => valueInfo(tensor.name, tensor)),
      output: wanted.map(([name, tensor]) => valueInfo(name, tensor)),
    },
  };
  return onnx.ModelProto.encode(model as onnx.IModelProto).finish();
}

interface Reachable {
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
function captured(node: Node): Tensor[] {
  const body = node.attributes.body;
  if (!isBody(body)) return [];
  const { nodes, inputs, constants } = reachableInside(body);
  const inner = new Set(nodes.flatMap((inside) => inside.outputs));
  const used = nodes.flatMap((inside) => [...inside.inputs, ...captured(inside)]);
  const outer = used.filter((x): x is Tensor => x !== null && !inner.has(x) && x.graph !== body.body);
  return [...new Set([...outer, ...constants, ...inputs.filter((x) => x.graph !== body.body)])];
}

function reachableInside({
  body,
  outputs,
}: {
  body: Tensor['graph'];
  outputs: readonly Tensor[];
}): Reachable {
  const all = reachable(outputs);
  return { ...all, nodes: all.nodes.filter((node) => node.graph === body) };
}

function isBody(attribute: Attribute | undefined): attribute is Extract<Attribute, { body: unknown }> {
  return typeof attribute === 'object' && 'body' in attribute;
}

function nodeProto({ op, inputs, outputs, attributes }: Node): onnx.INodeProto {
  return {
    domain: op.domain,
    opType: op.type,
    input: inputs.map((x) => x?.name ?? ''),
    output: outputs.map((y) => y.name),
    attribute: Object.entries(attributes).map(([name, value]) => attributeProto(name, value)),
  };
}

function attributeProto(name: string, value: Attribute): onnx.IAttributeProto {
  if (typeof value === 'number') return { name, type: ATTRIBUTE.int, i: value };
  if (typeof value === 'string') return { name, type: ATTRIBUTE.string, s: Buffer.from(value) };
  if ('float' in value) return { name, type: ATTRIBUTE.float, f: value.float };
  if ('constant' in value) return { name, type: ATTRIBUTE.tensor, t: tensorProto(value.constant) };
  if (isBody(value)) return { name, type: ATTRIBUTE.graph, g: bodyProto(value) };
  return { name, type: ATTRIBUTE.ints, ints: [...(value as readonly number[])] };
}

function bodyProto(body: Extract<Attribute, { body: unknown }>): onnx.IGraphProto {
  return {
    name: 'body',
    node: reachableInside(body).nodes.map(nodeProto),
    input: body.body.inputs.map((tensor) => valueInfo(tensor.name, tensor)),
    // The engine infers the shapes; a state may grow, so that its declared shape would be wrong.
    output: body.outputs.map(({ name, dtype }) => ({
      name,
      type: { tensorType: { elemType: DTYPE[dtype] } },
    })),
  };
}

function valueInfo(name: string, { dtype, shape }: Tensor): onnx.IValueInfoProto {
  const dim = shape.map((d: Dim) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { name, type: { tensorType: { elemType: DTYPE[dtype], shape: { dim } } } };
}

function tensorProto({ name, dtype, shape, data }: Tensor): onnx.ITensorProto {
  const { buffer, byteOffset, byteLength } = data!;
  return {
    name,
    dims: [...shape] as number[],
    dataType: DTYPE[dtype],
    rawData: new Uint8Array(buffer, byteOffset, byteLength),
  };
}
