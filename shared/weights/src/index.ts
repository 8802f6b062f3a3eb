export { bytesOf, elementCount, parametersHash, type NamedTensor, type Parameters } from './parameters';
export { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from './half-precision';
export { hashSafetensors, parseSafetensors, readSafetensors, writeSafetensors } from './safetensors';
export { type SafetensorsDtype } from './safetensors-header';
export { readModelWeights, type TensorRole } from './model-weights';
export { inspectBlob, type BlobContent } from './blob';
export { WeightReader } from './weight-reader';
export { WeightStore } from './weight-store';
