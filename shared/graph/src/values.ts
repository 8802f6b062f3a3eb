import type { Values } from './op';

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Row-major strides. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[i + 1]!;
  return strides;
}

/** An array whose element at each multi-index is `value(index)`. */
export function tabulate(shape: readonly number[], value: (index: readonly number[]) => number): Values {
  const data = new Float64Array(sizeOf(shape));
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0; i < data.length; i++) {
    data[i] = value(index);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = index[axis]! + 1;
      if (index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
  return { shape, data };
}

/** The element at a multi-index; axes missing in front and axes of length 1 are broadcast. */
export function at({ shape, data }: Values, index: readonly number[]): number {
  let offset = 0;
  const skip = index.length - shape.length;
  for (let axis = 0; axis < shape.length; axis++) {
    offset = offset * shape[axis]! + (shape[axis] === 1 ? 0 : index[axis + skip]!);
  }
  return data[offset]!;
}

export function broadcastNumbers(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => {
    const dims = shapes.map((shape) => shape[shape.length - rank + i] ?? 1);
    return dims.find((dim) => dim !== 1) ?? 1;
  });
}

/** Elementwise over broadcast inputs. */
export function mapValues(
  inputs: readonly (Values | null)[],
  f: (...xs: number[]) => number,
): readonly Values[] {
  const arrays = inputs.filter((input): input is Values => input !== null);
  const shape = broadcastNumbers(arrays.map((array) => array.shape));
  return [tabulate(shape, (index) => f(...arrays.map((array) => at(array, index))))];
}

/** Index with the entry of one axis replaced. */
export function withAxis(index: readonly number[], axis: number, value: number): number[] {
  const copy = [...index];
  copy[axis] = value;
  return copy;
}
