import type { Engine, EngineOptions } from './engine';
import { OnnxEngine } from './onnx/onnx-engine';

/** An engine; its library is loaded with the first program. */
export function createEngine(options: Pick<EngineOptions, 'threads'> & Partial<EngineOptions>): Engine {
  return new OnnxEngine({ engine: 'onnx', device: 'cpu', mathMode: 'float32', ...options });
}
