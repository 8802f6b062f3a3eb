import { keepOnnxRuntimeQuiet } from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { DType } from '@forge/graph';
import type { InferenceSession, Tensor } from 'onnxruntime-node';

// A worker thread has a copy of the environment, which onnxruntime does not read: the starter of one calls this first.
keepOnnxRuntimeQuiet();

/** A concrete tensor in host memory, row-major. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Float32Array | BigInt64Array | Uint8Array;
}

export interface EngineOptions {
  /** Threads of one operator. */
  threads: number;
  provider: 'cpu' | 'cuda' | 'webgpu';
}

/** A compiled graph. `run` blocks its thread while it computes, so it belongs in a worker thread. */
export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** @throws {ForgeError} SHAPE_MISMATCH when an input is missing or does not fit. */
  run(feeds: Readonly<Record<string, HostTensor>>): Promise<Record<string, HostTensor>>;
  release(): Promise<void>;
}

export interface Engine {
  readonly options: EngineOptions;
  createSession(onnx: Uint8Array): Promise<Session>;
}

/** The onnxruntime engine; the library is loaded with the first session. */
export function createEngine(options: EngineOptions): Engine {
  return {
    options,
    createSession: async (onnx) => {
      const runtime = await import('onnxruntime-node');
      let session: InferenceSession;
      try {
        session = await runtime.InferenceSession.create(onnx, {
          executionProviders: [options.provider],
          intraOpNumThreads: options.threads,
          interOpNumThreads: 1,
          graphOptimizationLevel: 'all',
          logSeverityLevel: 3,
          // Threads that spin while they wait take the cores from the other services of the machine.
          extra: { session: { intra_op: { allow_spinning: '0' } } },
        });
      } catch (cause) {
        throw sessionError(options, cause);
      }
      return new OnnxSession(session, runtime.Tensor);
    },
  };
}

function sessionError(options: EngineOptions, cause: unknown): ForgeError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (options.provider !== 'cpu' && /provider|backend/i.test(reason)) {
    const message = `the ${options.provider} provider is not available in this installation of onnxruntime; set device to cpu, or take the gpu image on a machine with a GPU (docs/deploy.md): ${reason}`;
    return new ForgeError('CONFIG_INVALID', message, { provider: options.provider }, { cause });
  }
  return new ForgeError('BUG_INVARIANT', `onnxruntime refused the graph: ${reason}`, {}, { cause });
}

class OnnxSession implements Session {
  constructor(
    private readonly session: InferenceSession,
    private readonly tensorClass: typeof Tensor,
  ) {}

  get inputNames(): readonly string[] {
    return this.session.inputNames;
  }

  get outputNames(): readonly string[] {
    return this.session.outputNames;
  }

  async run(feeds: Readonly<Record<string, HostTensor>>): Promise<Record<string, HostTensor>> {
    const inputs: Record<string, Tensor> = {};
    for (const name of this.session.inputNames) {
      const feed = feeds[name];
      if (feed === undefined)
        throw new ForgeError('SHAPE_MISMATCH', `no value for the input ${name}`, { name });
      inputs[name] = this.toOrt(feed);
    }
    const results = await this.compute(inputs);
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, fromOrt(tensor)]));
  }

  release(): Promise<void> {
    return this.session.release();
  }

  private toOrt({ dtype, shape, data }: HostTensor): Tensor {
    return new this.tensorClass(dtype, data as never, shape as number[]);
  }

  private async compute(inputs: Record<string, Tensor>): Promise<InferenceSession.OnnxValueMapType> {
    try {
      return await this.session.run(inputs);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ForgeError('SHAPE_MISMATCH', `onnxruntime: ${reason}`, {}, { cause });
    }
  }
}

function fromOrt(value: InferenceSession.OnnxValueMapType[string]): HostTensor {
  const tensor = value as Tensor;
  return { dtype: tensor.type as DType, shape: tensor.dims, data: tensor.data as HostTensor['data'] };
}
