export { createEngine } from './create-engine';
export {
  isOnDevice,
  type AnyTensor,
  type DeviceName,
  type DeviceTensor,
  type Engine,
  type EngineName,
  type EngineOptions,
  type HostTensor,
  type Program,
} from './engine';
export { hostTensorOf, ReferenceEngine } from './reference-engine';
