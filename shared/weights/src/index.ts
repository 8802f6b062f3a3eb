export {
  bytesOf,
  elementCount,
  parametersHash,
  readTensors,
  valuesOf,
  type NamedTensor,
  type Parameters,
  type Tensors,
  type UnreadTensor,
} from './parameters';
export {
  hashSafetensors,
  readSafetensors,
  writeSafetensors,
  type BlobContent,
  type SafetensorsFormat,
} from './safetensors';
export { type SafetensorsDtype } from './safetensors-header';
export { readModelWeights, type TensorRole } from './model-weights';
export { inspectBlob } from './blob';
export { readVersion } from './read-version';
export { WeightStore } from './weight-store';
