import { ForgeError } from '@forge/errors';
import { deviceError, reasonOf } from '../device-errors';
import type { DeviceName } from '../engine';

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
