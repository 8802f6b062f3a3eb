import { composite } from './gradient';
import type { Tensor } from './graph';
import { concat, slice } from './layout';

/** `x` with the two halves of its last axis in each other's place; its gradient changes them back. */
export function swapHalves(x: Tensor): Tensor {
  const axis = x.rank - 1;
  const width = x.shape[axis] as number;
  const swapped = (of: Tensor): Tensor =>
    concat([slice(of, axis, width / 2, width), slice(of, axis, 0, width / 2)], axis);
  return composite(
    x.graph,
    [x],
    () => [swapped(x)],
    ([dy]) => [dy ? swapped(dy) : null],
  )[0]!;
}
