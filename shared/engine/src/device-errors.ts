import { ForgeError } from '@forge/errors';
import type { DeviceName } from './engine';

/** Words of drivers and libraries for memory that is not there; an invalid buffer is one that could not be made. */
const NO_MEMORY =
  /\bOOM\b|out of memory|OUT_OF_(DEVICE_|HOST_)?MEMORY|RESOURCE_EXHAUSTED|STATUS_ALLOC_FAILED|failed to allocate|bad_alloc|exceeds the max buffer size|\[Invalid Buffer|narrowing_error/i;
const LOST =
  /device (is|was) lost|\bis lost\b|DEVICE_LOST|CUDA (failure|error).*(launch|illegal|ECC|unavailable|reset)|CUDA_ERROR_(LAUNCH|ILLEGAL|ECC)/i;

/** A fault of the device rather than of what it was given; null for any other. */
export function deviceError(device: DeviceName, cause: unknown): ForgeError | null {
  const reason = reasonOf(cause);
  if (LOST.test(reason)) {
    const message = `the ${device} device is lost, and with it all that lay on it: ${reason}`;
    return new ForgeError('TRANSIENT_DEVICE_LOST', message, { device }, { cause });
  }
  if (!NO_MEMORY.test(reason)) return null;
  const message = `the ${device} device is out of memory; compute less at once: trainer.microBatchTokens, trainer.logitsChunk, policy.maxBatch, reference.maxBatchTokens or that of a reward model: ${reason}`;
  return new ForgeError('CAPACITY_DEVICE_MEMORY', message, { device }, { cause });
}

export const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
