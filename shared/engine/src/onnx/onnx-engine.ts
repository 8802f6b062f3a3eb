import { keepOnnxRuntimeQuiet } from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { DType, Tensor } from '@forge/graph';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import {
  isOnDevice,
  type AnyTensor,
  type CompileOptions,
  type DeviceTensor,
  type Engine,
  type EngineOptions,
  type HostTensor,
  type Program,
  type RunOptions,
  type RunOutputs,
} from '../engine';
import { toOnnx } from './to-onnx';

// A worker thread has a copy of the environment, which onnxruntime does not read: the starter of one calls this first.
keepOnnxRuntimeQuiet();

/** Graphs as sessions of onnxruntime. */
export class OnnxEngine implements Engine {
  readonly memory = 'host';

  constructor(readonly options: EngineOptions) {}

  async compile(
    outputs: Readonly<Record<string, Tensor>>,
    { kept = [] }: CompileOptions = {},
  ): Promise<Program> {
    const runtime = await import('onnxruntime-node');
    const { device, threads } = this.options;
    const { bytes, externalData, fed } = toOnnx(outputs);
    let session: InferenceSession;
    try {
      session = await runtime.InferenceSession.create(bytes, {
        externalData,
        executionProviders: [device],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        graphOptimizationLevel: 'all',
        logSeverityLevel: 3,
        // Threads that spin while they wait take the cores from the other services of the machine.
        extra: { session: { intra_op: { allow_spinning: '0' } } },
      });
    } catch (cause) {
      throw sessionError(device, cause);
    }
    return new OnnxProgram(session, runtime.Tensor, new Set(kept), fed);
  }

  put(tensor: HostTensor): Promise<DeviceTensor> {
    return Promise.resolve(new KeptTensor(tensor));
  }
}

function sessionError(device: string, cause: unknown): ForgeError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (device !== 'cpu' && /provider|backend/i.test(reason)) {
    const message = `the ${device} provider is not available in this installation of onnxruntime; set device to cpu, or take the gpu image on a machine with a GPU (docs/deploy.md): ${reason}`;
    return new ForgeError('CONFIG_INVALID', message, { provider: device }, { cause });
  }
  return new ForgeError('BUG_INVARIANT', `onnxruntime refused the graph: ${reason}`, {}, { cause });
}

/** On the CPU the memory of the device is that of the host. */
class KeptTensor implements DeviceTensor {
  constructor(readonly host: HostTensor) {}

  get dtype(): DType {
    return this.host.dtype;
  }

  get shape(): readonly number[] {
    return this.host.shape;
  }

  read(): Promise<HostTensor> {
    return Promise.resolve({ ...this.host, data: this.host.data.slice() });
  }

  dispose(): void {}
}

class OnnxProgram implements Program {
  readonly inputNames: readonly string[];
  /** Constants of the graph that are inputs of the session. */
  private readonly constants: Readonly<Record<string, HostTensor>>;

  constructor(
    private readonly session: InferenceSession,
    private readonly tensorClass: typeof OrtTensor,
    private readonly kept: ReadonlySet<string>,
    fed: readonly Tensor[],
  ) {
    this.constants = Object.fromEntries(
      fed.map(({ name, dtype, shape, data }) => [name, { dtype, shape: shape as number[], data: data! }]),
    );
    this.inputNames = session.inputNames.filter((name) => !(name in this.constants));
  }

  get outputNames(): readonly string[] {
    return this.session.outputNames;
  }

  async run(feeds: Readonly<Record<string, AnyTensor>>, { wanted }: RunOptions = {}): Promise<RunOutputs> {
    const inputs: Record<string, OrtTensor> = {};
    for (const name of this.session.inputNames) {
      const feed = this.constants[name] ?? feeds[name];
      if (feed === undefined)
        throw new ForgeError('SHAPE_MISMATCH', `no value for the input ${name}`, { name });
      inputs[name] = this.toOrt(isOnDevice(feed) ? (feed as KeptTensor).host : feed);
    }
    const outputs: RunOutputs = { host: {}, kept: {} };
    for (const [name, value] of Object.entries(await this.compute(inputs, wanted))) {
      const tensor = fromOrt(value);
      if (this.kept.has(name)) outputs.kept[name] = new KeptTensor(tensor);
      else outputs.host[name] = tensor;
    }
    return outputs;
  }

  release(): Promise<void> {
    return this.session.release();
  }

  private toOrt({ dtype, shape, data }: HostTensor): OrtTensor {
    return new this.tensorClass(dtype, data as never, shape as number[]);
  }

  private async compute(
    inputs: Record<string, OrtTensor>,
    wanted: readonly string[] | undefined,
  ): Promise<InferenceSession.OnnxValueMapType> {
    try {
      return await (wanted === undefined ? this.session.run(inputs) : this.session.run(inputs, wanted));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ForgeError('SHAPE_MISMATCH', `onnxruntime: ${reason}`, {}, { cause });
    }
  }
}

function fromOrt(value: InferenceSession.OnnxValueMapType[string]): HostTensor {
  const tensor = value as OrtTensor;
  return { dtype: tensor.type as DType, shape: tensor.dims, data: tensor.data as HostTensor['data'] };
}
