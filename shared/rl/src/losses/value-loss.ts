import { add, cast, clip, greater, maximum, mul, sub } from '@forge/graph';
import { tokenMean } from './batch-mean';
import type { Loss } from './loss';

/**
 * Half the squared distance of the values from the returns. With `valueClip` a value is not rewarded for moving farther than that
 * from where it was before the batch: the worse of free and clipped counts.
 *
 * @see Schulman et al.'s baselines; 0.2 in verl, slime and OpenRLHF
 */
export function valueLoss({ valueClip }: { valueClip?: number | undefined } = {}): Loss {
  return (terms) => {
    const { values, oldValues, returns } = terms;
    const squared = (x: typeof values) => mul(sub(x, returns), sub(x, returns));
    const free = squared(values);
    if (valueClip === undefined) return tokenMean(mul(free, 0.5), terms);
    const bounded = squared(add(oldValues, clip(sub(values, oldValues), -valueClip, valueClip)));
    return {
      loss: tokenMean(mul(maximum(free, bounded), 0.5), terms),
      metrics: { clip_fraction: tokenMean(cast(greater(bounded, free), 'float32'), terms) },
    };
  };
}
