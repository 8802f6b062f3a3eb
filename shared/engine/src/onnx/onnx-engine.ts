import { keepOnnxRuntimeQuiet } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { Graph, type Tensor } from '@forge/graph';
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
import { runError, sessionError } from './onnx-errors';
import { hostTensor, OnnxTensor, Transfers } from './onnx-tensor';
import { toOnnx, type OnnxModel } from './to-onnx';
import { WEBGPU_SESSION } from './webgpu-faults';

// A worker thread has a copy of the environment, which onnxruntime does not read: the starter of one calls this first.
keepOnnxRuntimeQuiet();

/** Threads that spin while they wait take the cores from the other services of the machine. */
const SESSION = { intra_op: { allow_spinning: '0' } };

/** Graphs as sessions of onnxruntime. */
export class OnnxEngine implements Engine {
  /** The binding keeps tensors on a device for WebGPU only. */
  readonly memory: 'host' | 'device';
  private readonly transfers: Transfers;

  constructor(readonly options: EngineOptions) {
    this.memory = options.device === 'webgpu' ? 'device' : 'host';
    this.transfers = new Transfers((dtype, rank, isKept) => {
      const x = new Graph().input(
        'x',
        dtype,
        Array.from({ length: rank }, (_, i) => `D${i}`),
      );
      return this.session(toOnnx({ copy: x }, options.device), isKept ? ['copy'] : []);
    });
  }

  async compile(
    outputs: Readonly<Record<string, Tensor>>,
    { kept = [] }: CompileOptions = {},
  ): Promise<Program> {
    const model = toOnnx(outputs, this.options.device);
    return new OnnxProgram(this, await this.session(model, kept), new Set(kept), model.fed);
  }

  async put(tensor: HostTensor): Promise<DeviceTensor> {
    const ort = await this.toOrt(tensor);
    return this.keep(this.memory === 'host' ? ort : await this.transfers.toDevice(ort));
  }

  /** A tensor of onnxruntime as one that stays on the device. */
  keep(tensor: OrtTensor): OnnxTensor {
    return new OnnxTensor(tensor, (ort) =>
      this.memory === 'host'
        ? Promise.resolve({ ...hostTensor(ort), data: hostTensor(ort).data.slice() })
        : this.transfers.toHost(ort),
    );
  }

  async toOrt(tensor: AnyTensor): Promise<OrtTensor> {
    if (isOnDevice(tensor)) return (tensor as OnnxTensor).ort;
    const { Tensor: OrtTensor } = await import('onnxruntime-node');
    return new OrtTensor(tensor.dtype, tensor.data as never, tensor.shape);
  }

  private async session(
    { bytes, externalData, outputNames }: OnnxModel,
    kept: readonly string[],
  ): Promise<InferenceSession> {
    const runtime = await import('onnxruntime-node');
    const { device, threads } = this.options;
    const locations = outputNames.map((name) => [name, kept.includes(name) ? 'gpu-buffer' : 'cpu']);
    try {
      return await runtime.InferenceSession.create(bytes, {
        externalData,
        executionProviders: [device],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        graphOptimizationLevel: 'all',
        // A second run of the same shapes would take all its memory in one more piece beside that of the first.
        enableMemPattern: false,
        logSeverityLevel: 3,
        extra: { session: { ...SESSION, ...(device === 'webgpu' && WEBGPU_SESSION) } },
        ...(this.memory === 'device' && { preferredOutputLocation: Object.fromEntries(locations) }),
      });
    } catch (cause) {
      throw sessionError(device, cause);
    }
  }
}

class OnnxProgram implements Program {
  readonly inputNames: readonly string[];
  /** Constants of the graph that are inputs of the session. */
  private readonly constants: Readonly<Record<string, HostTensor>>;

  constructor(
    private readonly engine: OnnxEngine,
    private readonly session: InferenceSession,
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

  async run(
    feeds: Readonly<Record<string, AnyTensor>>,
    { wanted, consumed = [] }: RunOptions = {},
  ): Promise<RunOutputs> {
    const inputs: Record<string, OrtTensor> = {};
    for (const name of this.session.inputNames) {
      const feed = this.constants[name] ?? feeds[name];
      if (feed === undefined)
        throw new ForgeError('SHAPE_MISMATCH', `no value for the input ${name}`, { name });
      inputs[name] = await this.engine.toOrt(feed);
    }
    const outputs: RunOutputs = { host: {}, kept: {} };
    for (const [name, value] of Object.entries(await this.compute(inputs, wanted))) {
      if (wanted?.includes(name) === false) (value as OrtTensor).dispose();
      else if (this.kept.has(name)) outputs.kept[name] = this.engine.keep(value as OrtTensor);
      else outputs.host[name] = hostTensor(value);
    }
    for (const name of consumed) {
      const feed = feeds[name];
      if (feed !== undefined && isOnDevice(feed)) feed.dispose();
    }
    return outputs;
  }

  release(): Promise<void> {
    return this.session.release();
  }

  private async compute(
    inputs: Record<string, OrtTensor>,
    wanted: readonly string[] | undefined,
  ): Promise<InferenceSession.OnnxValueMapType> {
    // With outputs on a device the binding wants all of them.
    const isAll = wanted === undefined || this.engine.memory === 'device';
    try {
      return await (isAll ? this.session.run(inputs) : this.session.run(inputs, wanted));
    } catch (cause) {
      throw runError(this.engine.options.device, cause);
    }
  }
}
