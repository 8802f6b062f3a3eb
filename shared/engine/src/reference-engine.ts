import { evaluate, reachable, type Application, type DType, type Tensor, type Values } from '@forge/graph';
import {
  isOnDevice,
  type AnyTensor,
  type CompileOptions,
  type DeviceTensor,
  type Engine,
  type EngineOptions,
  type HostTensor,
  type Program,
} from './engine';

/** The float64 reference behind the port: slow and obvious, right by definition. */
export class ReferenceEngine implements Engine {
  readonly memory = 'host';

  /** `observe` hears of every op that a run computes. */
  constructor(
    readonly options: EngineOptions,
    private readonly observe?: (application: Application) => void,
  ) {}

  compile(outputs: Readonly<Record<string, Tensor>>, { kept = [] }: CompileOptions = {}): Promise<Program> {
    const { inputs } = reachable(Object.values(outputs));
    return Promise.resolve({
      inputNames: inputs.map(({ name }) => name),
      outputNames: Object.keys(outputs),
      run: async (feeds, { wanted = Object.keys(outputs) } = {}) => {
        const values: Record<string, Values> = {};
        for (const { name } of inputs)
          if (feeds[name] !== undefined) values[name] = await valuesOf(feeds[name]);
        const asked = Object.fromEntries(wanted.map((name) => [name, outputs[name]!]));
        const results = Object.entries(evaluate(asked, values, this.observe)).map(
          ([name, value]) => [name, hostTensorOf(value, outputs[name]!.dtype)] as const,
        );
        return {
          host: Object.fromEntries(results.filter(([name]) => !kept.includes(name))),
          kept: Object.fromEntries(
            results.filter(([name]) => kept.includes(name)).map(([name, tensor]) => [name, onDevice(tensor)]),
          ),
        };
      },
      release: () => Promise.resolve(),
    });
  }

  put(tensor: HostTensor): Promise<DeviceTensor> {
    return Promise.resolve(onDevice(tensor));
  }
}

/** A tensor in host memory as one of a device that has no memory of its own. */
const onDevice = (tensor: HostTensor): DeviceTensor => ({
  dtype: tensor.dtype,
  shape: tensor.shape,
  read: () => Promise.resolve(tensor),
  dispose: () => undefined,
});

async function valuesOf(tensor: AnyTensor): Promise<Values> {
  const { shape, data } = isOnDevice(tensor) ? await tensor.read() : tensor;
  return { shape, data: Float64Array.from(data as ArrayLike<number | bigint>, Number) };
}

/** Values in the memory of a dtype, floats rounded to float32. */
export function hostTensorOf({ shape, data }: Values, dtype: DType): HostTensor {
  switch (dtype) {
    case 'float32':
      return { dtype, shape, data: Float32Array.from(data) };
    case 'int64':
      return { dtype, shape, data: BigInt64Array.from(data, BigInt) };
    case 'bool':
      return { dtype, shape, data: Uint8Array.from(data) };
  }
}
