import { clip, exp, stopGradient, sub, type Tensor } from '@forge/graph';
import type { LossTerms } from '../loss';

/** Log-ratios beyond it are cut off before the exponential, as verl does. */
const LARGEST_LOG_RATIO = 20;

/** log(old / behaviour) of each token, without gradient: what the trained policy makes of what another one drew. */
export function logMismatch({ old, behaviour }: Pick<LossTerms, 'old' | 'behaviour'>): Tensor {
  return stopGradient(sub(old, behaviour));
}

/** e to the power of a log-ratio, without overflow. */
export function ratioOf(logRatio: Tensor): Tensor {
  return exp(clip(logRatio, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO));
}
