import { onnx } from 'onnx-proto';

const FLOAT_TYPE = 1;
const INT64_TYPE = 7;

/**
 * Settings of a session on WebGPU. A product in the body of a loop that packs its constant matrix for itself comes out
 * wrong where the graph around the loop uses the matrix too, as of a tied head.
 */
export const WEBGPU_SESSION = { disable_prepacking: '1' } as const;

/**
 * The graph with what onnxruntime's WebGPU kernels compute wrongly put in other words:
 *
 * - SimplifiedLayerNormalization gives the mean of a row as its second output, where other devices give the reciprocal
 *   root of the mean square. The gradient reads it; ops of its own compute it.
 */
export function withoutFaults(graph: onnx.IGraphProto): onnx.IGraphProto {
  return { ...graph, node: (graph.node ?? []).flatMap(rewritten) };
}

function rewritten(node: onnx.INodeProto): onnx.INodeProto[] {
  if (node.opType === 'SimplifiedLayerNormalization') return normalization(node);
  const attribute = (node.attribute ?? []).map((one) => (one.g ? { ...one, g: withoutFaults(one.g) } : one));
  return [{ ...node, attribute }];
}

/** x [..., D] -> y [..., D] and 1 / sqrt(mean(x²) + epsilon) [..., 1]; the optimizer drops the latter where it is unused. */
function normalization(node: onnx.INodeProto): onnx.INodeProto[] {
  const [x] = node.input!;
  const [y, inverse] = node.output!;
  const epsilon = node.attribute!.find(({ name }) => name === 'epsilon')!.f!;
  const part = (name: string): string => `${inverse}.${name}`;
  const op = (opType: string, input: string[], output: string): onnx.INodeProto => ({
    opType,
    input,
    output: [output],
  });
  return [
    { ...node, output: [y!] },
    constant(part('axes'), { dims: [1], dataType: INT64_TYPE, int64Data: [-1] }),
    constant(part('epsilon'), { dims: [], dataType: FLOAT_TYPE, floatData: [epsilon] }),
    op('Mul', [x!, x!], part('square')),
    op('ReduceMean', [part('square'), part('axes')], part('mean')),
    op('Add', [part('mean'), part('epsilon')], part('sum')),
    op('Sqrt', [part('sum')], part('root')),
    op('Reciprocal', [part('root')], inverse!),
  ];
}

function constant(name: string, value: onnx.ITensorProto): onnx.INodeProto {
  const attribute = [{ name: 'value', type: onnx.AttributeProto.AttributeType.TENSOR, t: value }];
  return { opType: 'Constant', input: [], output: [name], attribute };
}
