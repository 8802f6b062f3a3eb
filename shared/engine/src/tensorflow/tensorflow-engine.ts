import { existsSync, readFileSync } from 'node:fs';
import { prepareTensorflow } from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { Tensor } from '@forge/graph';
import type { CompileOptions, DeviceTensor, Engine, EngineOptions, HostTensor, Program } from '../engine';
import { loadBinding } from './binding';
import { requireTensorflow } from './installed-tensorflow';
import { KeptTensor, TensorflowProgram } from './program';
import { Runtime } from './runtime';

/** One runtime for all engines of a thread: a process has one TensorFlow, whose settings hold for all of them. */
let runtime: Runtime | null = null;

/** Graphs as raw ops of TensorFlow, which keeps their tensors where it computes. */
export class TensorflowEngine implements Engine {
  readonly memory = 'device';

  constructor(readonly options: EngineOptions) {}

  async compile(
    outputs: Readonly<Record<string, Tensor>>,
    { kept = [] }: CompileOptions = {},
  ): Promise<Program> {
    const runtime = this.runtime();
    const roundsFactors = this.options.mathMode === 'bfloat16' && (runtime.isOnGpu || !roundsByItself());
    return new TensorflowProgram(runtime, outputs, new Set(kept), roundsFactors);
  }

  async put(tensor: HostTensor): Promise<DeviceTensor> {
    return new KeptTensor(this.runtime().put(tensor));
  }

  /** Handles of TensorFlow that are alive in this thread. */
  get tensors(): number {
    return this.runtime().tensors;
  }

  /** @throws {ForgeError} ENGINE_NOT_INSTALLED; CONFIG_INVALID when TensorFlow does not compute on the device asked for. */
  private runtime(): Runtime {
    const { threads, mathMode, device } = this.options;
    if (device === 'webgpu')
      throw deviceError(device, 'has no WebGPU; set device to cpu or cuda, or engine to onnx');
    prepareTensorflow({ threads, mathMode });
    const { directory } = requireTensorflow(device);
    runtime ??= new Runtime(loadBinding(directory));
    if (device === 'cuda' && !runtime.isOnGpu)
      throw deviceError(
        device,
        'sees no GPU; its log names the missing library (npx forge engine check), or set device to cpu',
      );
    if (device === 'cpu' && runtime.isOnGpu)
      throw deviceError(
        device,
        'computes on a GPU here; set device to cuda, or hide the GPU by CUDA_VISIBLE_DEVICES=-1',
      );
    return runtime;
  }
}

/** On CPUs with AMX, oneDNN rounds the factors of float32 products itself and keeps the product's accuracy. */
function roundsByItself(): boolean {
  return existsSync('/proc/cpuinfo') && /\bamx_bf16\b/.test(readFileSync('/proc/cpuinfo', 'utf8'));
}

function deviceError(device: string, reason: string): ForgeError {
  return new ForgeError('CONFIG_INVALID', `device ${device}: TensorFlow ${reason}`, { field: 'device' });
}
