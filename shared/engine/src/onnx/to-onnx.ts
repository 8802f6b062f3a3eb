import { onnx } from 'onnx-proto';
import {
  isBody,
  reachable,
  reachableInside,
  type Attribute,
  type Dim,
  type LoopBody,
  type Node,
  type Tensor,
} from '@forge/graph';
import type { DeviceName } from '../engine';
import { withoutFaults } from './webgpu-faults';

const DTYPE = { float32: 1, int64: 7, bool: 9 } as const;
const ATTRIBUTE = { float: 1, int: 2, string: 3, tensor: 4, graph: 5, ints: 7 } as const;
const IR_VERSION = 9;
const OPERATOR_SETS = [
  { domain: '', version: 20 },
  { domain: 'com.microsoft', version: 1 },
];

/** Constants from this size on lie beside the model: in it, they would be copied, and 2 GiB is the most of one message. */
const EXTERNAL_BYTES = 1 << 10;
/** The most bytes of an initializer, wherever it lies; a larger constant becomes an input. */
const INITIALIZER_BYTES = 2 ** 31 - 1;

/** Bytes of an initializer, under the name that the model knows them by; the memory is that of the constant. */
export interface ExternalData {
  path: string;
  data: Uint8Array;
}

export interface OnnxModel {
  bytes: Uint8Array;
  externalData: ExternalData[];
  outputNames: readonly string[];
  /** Constants that are too large to be part of a model: inputs that get this value at every run. */
  fed: Tensor[];
}

/**
 * The ONNX model that computes `outputs` (by name) from the inputs of the graph on a device; what they don't depend on
 * is left out. Constants become initializers.
 */
export function toOnnx(outputs: Readonly<Record<string, Tensor>>, device: DeviceName = 'cpu'): OnnxModel {
  const wanted = Object.entries(outputs);
  const { nodes, inputs, constants } = reachable(
    wanted.map(([, tensor]) => tensor),
    { expands: true },
  );
  // An output may be computed under another name, be an input itself, or be asked for twice: it gets a copy.
  const copies = wanted.map(([name, tensor]) => ({
    opType: 'Identity',
    input: [tensor.name],
    output: [name],
  }));
  const isFed = ({ data }: Tensor): boolean => data!.byteLength > INITIALIZER_BYTES;
  const fed = constants.filter(isFed);
  const externalData: ExternalData[] = [];
  const initializer = constants
    .filter((tensor) => !isFed(tensor))
    .map((tensor) => {
      if (tensor.data!.byteLength < EXTERNAL_BYTES) return tensorProto(tensor);
      const external = { path: `initializer-${externalData.length}`, data: rawData(tensor) };
      externalData.push(external);
      return externalProto(tensor, external);
    });
  const graph = {
    name: 'forge',
    node: [...nodes.map(nodeProto), ...copies],
    initializer,
    input: [...inputs, ...fed].map((tensor) => valueInfo(tensor.name, tensor)),
    output: wanted.map(([name, tensor]) => valueInfo(name, tensor)),
  };
  const model = {
    irVersion: IR_VERSION,
    opsetImport: OPERATOR_SETS,
    producerName: 'forge',
    graph: device === 'webgpu' ? withoutFaults(graph) : graph,
  };
  return {
    bytes: onnx.ModelProto.encode(model as onnx.IModelProto).finish(),
    externalData,
    outputNames: Object.keys(outputs),
    fed,
  };
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

function bodyProto(body: LoopBody): onnx.IGraphProto {
  return {
    name: 'body',
    node: reachableInside(body, { expands: true }).nodes.map(nodeProto),
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

function tensorProto(tensor: Tensor): onnx.ITensorProto {
  return { ...tensorInfo(tensor), rawData: rawData(tensor) };
}

function externalProto(tensor: Tensor, { path, data }: ExternalData): onnx.ITensorProto {
  const place = { location: path, offset: '0', length: String(data.length) };
  return {
    ...tensorInfo(tensor),
    dataLocation: onnx.TensorProto.DataLocation.EXTERNAL,
    externalData: Object.entries(place).map(([key, value]) => ({ key, value })),
  };
}

function tensorInfo({ name, dtype, shape }: Tensor): onnx.ITensorProto {
  return { name, dims: [...shape] as number[], dataType: DTYPE[dtype] };
}

function rawData({ data }: Tensor): Uint8Array {
  const { buffer, byteOffset, byteLength } = data!;
  return new Uint8Array(buffer, byteOffset, byteLength);
}
