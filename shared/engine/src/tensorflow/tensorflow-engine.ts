import { prepareTensorflow } from '@forge/config';
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
    return new TensorflowProgram(this.runtime(), outputs, new Set(kept));
  }

  async put(tensor: HostTensor): Promise<DeviceTensor> {
    return new KeptTensor(this.runtime().put(tensor));
  }

  /** Handles of TensorFlow that are alive in this thread. */
  get tensors(): number {
    return this.runtime().tensors;
  }

  private runtime(): Runtime {
    const { threads, mathMode, device } = this.options;
    prepareTensorflow({ threads, mathMode });
    const { directory } = requireTensorflow(device === 'cuda' ? 'cuda' : 'cpu');
    return (runtime ??= new Runtime(loadBinding(directory)));
  }
}
