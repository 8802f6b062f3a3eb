import type { Engine, EngineOptions } from './engine';
import { OnnxEngine } from './onnx/onnx-engine';
import { TensorflowEngine } from './tensorflow/tensorflow-engine';

/** An engine; its library is loaded with the first program. */
export function createEngine(options: Pick<EngineOptions, 'threads'> & Partial<EngineOptions>): Engine {
  const full: EngineOptions = { engine: 'onnx', device: 'cpu', mathMode: 'float32', ...options };
  return full.engine === 'tensorflow' ? new TensorflowEngine(full) : new OnnxEngine(full);
}
