import { TYPE, type OpAttribute } from './binding';

/** A node of a TensorFlow graph; an input is a node's name, `name:1` its second result. */
export interface GraphNode {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly attributes: readonly OpAttribute[];
  /** The numbers of a constant, a number alone of a scalar. */
  readonly numbers?: readonly number[] | number;
}

/** Wire types of protocol buffers. */
const [VARINT, LENGTH] = [0, 2] as const;

/** The version of graphs that this TensorFlow makes itself; older ones are read by rules of their time. */
const PRODUCER = 2000;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}

const number = (field: number, value: number): Buffer =>
  Buffer.concat([varint((field << 3) | VARINT), varint(value)]);

function message(field: number, ...parts: readonly (Uint8Array | string)[]): Buffer {
  const whole = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  return Buffer.concat([varint((field << 3) | LENGTH), varint(whole.length), whole]);
}

/** An attribute's value; its fields by the kind of the value. */
function attributeValue({ type, value }: OpAttribute): Buffer {
  const fields = [2, 3, 4, 5, 6];
  const field = fields[type]!;
  return typeof value === 'string' ? message(field, value) : number(field, Number(value));
}

function constantValue(numbers: readonly number[] | number): Buffer {
  const isScalar = typeof numbers === 'number';
  const data = Int32Array.from(isScalar ? [numbers] : numbers);
  const shape = isScalar ? [] : [message(2, number(1, data.length))];
  return message(8, number(1, TYPE.int32), message(2, ...shape), message(4, new Uint8Array(data.buffer)));
}

function nodeBytes({ name, op, inputs, attributes, numbers }: GraphNode): Buffer {
  const entry = (key: string, value: Buffer): Buffer => message(5, message(1, key), message(2, value));
  return message(
    1,
    ...[message(1, name), message(2, op), ...inputs.map((input) => message(3, input))],
    ...attributes.map((attribute) => entry(attribute.name, attributeValue(attribute))),
    ...(numbers === undefined ? [] : [entry('value', constantValue(numbers))]),
  );
}

/** The tag that a graph is asked for by. */
export const GRAPH_TAG = 'serve';

/** The file `saved_model.pb` of a graph without variables, the form in which the binding takes graphs. */
export function graphBytes(nodes: readonly GraphNode[]): Buffer {
  const graph = message(2, ...nodes.map(nodeBytes), message(4, number(1, PRODUCER)));
  return Buffer.concat([number(1, 1), message(2, message(1, message(4, GRAPH_TAG)), graph)]);
}
