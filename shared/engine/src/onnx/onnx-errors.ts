import { ForgeError } from '@forge/errors';
import type { DeviceName } from '../engine';

/** The error of a session that could not be made. */
export function sessionError(device: DeviceName, cause: unknown): ForgeError {
  const reason = reasonOf(cause);
  if (device !== 'cpu' && /provider|backend/i.test(reason)) {
    const message = `the ${device} provider is not available in this installation of onnxruntime; set device to cpu, or take the gpu image on a machine with a GPU (docs/deploy.md): ${reason}`;
    return new ForgeError('CONFIG_INVALID', message, { provider: device }, { cause });
  }
  return new ForgeError('BUG_INVARIANT', `onnxruntime refused the graph: ${reason}`, {}, { cause });
}

/** The error of a run that failed. */
export function runError(_device: DeviceName, cause: unknown): ForgeError {
  return new ForgeError('SHAPE_MISMATCH', `onnxruntime: ${reasonOf(cause)}`, {}, { cause });
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
