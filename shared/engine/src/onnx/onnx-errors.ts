import { ForgeError } from '@forge/errors';
import type { DeviceName } from '../engine';

/** Words of the drivers, and of onnxruntime, for memory that is not there; an invalid buffer is one that could not be made. */
const NO_MEMORY =
  /out of memory|OUT_OF_(DEVICE|HOST)_MEMORY|exceeds the max buffer size|\[Invalid Buffer|narrowing_error|Failed to allocate memory/i;
const LOST =
  /device (is|was) lost|\bis lost\b|DEVICE_LOST|CUDA (failure|error).*(launch|illegal|ECC|unavailable|reset)/i;

/** The error of a session that could not be made. */
export function sessionError(device: DeviceName, cause: unknown): ForgeError {
  const reason = reasonOf(cause);
  if (device !== 'cpu' && /provider|backend|adapter/i.test(reason)) {
    const message = `onnxruntime has no ${device} here; set device to cpu, or see docs/gpus.md for what it takes: ${reason}`;
    return new ForgeError('CONFIG_INVALID', message, { device }, { cause });
  }
  return (
    deviceError(device, cause) ??
    new ForgeError('BUG_INVARIANT', `onnxruntime refused the graph: ${reason}`, {}, { cause })
  );
}

/** The error of a run that failed. */
export function runError(device: DeviceName, cause: unknown): ForgeError {
  return (
    deviceError(device, cause) ??
    new ForgeError('SHAPE_MISMATCH', `onnxruntime: ${reasonOf(cause)}`, {}, { cause })
  );
}

/** A fault of the device rather than of what it was given; null for any other. */
function deviceError(device: DeviceName, cause: unknown): ForgeError | null {
  const reason = reasonOf(cause);
  if (LOST.test(reason)) {
    const message = `the ${device} device is lost, and with it all that lay on it: ${reason}`;
    return new ForgeError('TRANSIENT_DEVICE_LOST', message, { device }, { cause });
  }
  if (!NO_MEMORY.test(reason)) return null;
  const message = `the ${device} device is out of memory; compute less at once: trainer.microBatchTokens, trainer.logitsChunk, policy.maxBatch or reference.maxBatchTokens: ${reason}`;
  return new ForgeError('CAPACITY_DEVICE_MEMORY', message, { device }, { cause });
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
