import { ForgeError } from '@forge/errors';

export interface TensorflowSettings {
  threads: number;
  mathMode: 'float32' | 'bfloat16';
}

const FPMATH = { float32: 'STRICT', bfloat16: 'BF16' } as const;

/** Arithmetic this thread began with. */
let chosen: TensorflowSettings['mathMode'] | null = null;

/**
 * Puts the settings into the environment, where TensorFlow reads them once as it loads. The first number of threads holds
 * for the process. A worker thread has to share the environment of the process (SHARE_ENV).
 *
 * @throws {ForgeError} CONFIG_INVALID for another arithmetic than TensorFlow was loaded with.
 */
export function prepareTensorflow({ threads, mathMode }: TensorflowSettings): void {
  if (chosen !== null && chosen !== mathMode) {
    const message = `mathMode ${mathMode}: TensorFlow computes with ${chosen} in this process already; use one arithmetic, or another process`;
    throw new ForgeError('CONFIG_INVALID', message, { field: 'mathMode' });
  }
  chosen = mathMode;
  process.env.TF_NUM_INTRAOP_THREADS ??= String(threads);
  process.env.TF_NUM_INTEROP_THREADS ??= '1';
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  process.env.ONEDNN_DEFAULT_FPMATH_MODE = FPMATH[mathMode];
  // GPUs of NVIDIA would round the factors of float32 products to 10 bits.
  if (mathMode === 'float32') process.env.NVIDIA_TF32_OVERRIDE = '0';
}
