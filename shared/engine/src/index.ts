export { checkInstalled, chooseEngine, type EngineChoice, type EngineWork } from './choose-engine';
export { createEngine } from './create-engine';
export {
  type AnyTensor,
  type DeviceName,
  type DeviceTensor,
  type Engine,
  type EngineName,
  type EngineOptions,
  type HostTensor,
  type Program,
  type RunOutputs,
} from './engine';
export {
  findTensorflow,
  requireTensorflow,
  TENSORFLOW_VERSION,
  tensorflowPlace,
  tensorflowPlaces,
  type TensorflowKind,
  type TensorflowPlace,
} from './tensorflow/installed-tensorflow';
export { requireTorch, TORCH_PACKAGE } from './torch/torch-trainer';
export { hostTensorOf, ReferenceEngine } from './reference-engine';
