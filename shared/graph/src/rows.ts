import type { Tensor } from './graph';
import { composite } from './gradient';
import { gather } from './indexing';
import { concat, reshape, zeros } from './layout';

/**
 * The rows of `x` at `positions`, which differ from one another. `index` says the reverse: at which place of the
 * result each row of `x` stands, N where it does not. With both at hand the gradient is a gather too.
 *
 * Shapes: x [R, ...], positions int64 [N], index int64 of R elements -> [N, ...].
 */
export function gatherRows(x: Tensor, positions: Tensor, index: Tensor): Tensor {
  return composite(
    x.graph,
    [x],
    () => [gather(x, positions)],
    ([dy]) => [dy ? reshape(placeRows(dy, reshape(index, [-1])), x.shape) : null],
  )[0]!;
}

/**
 * The reverse of `gatherRows`: every place of `index` gets the row of `rows` it names, or zeros where it says N.
 *
 * Shapes: rows [N, ...], index int64 [...I], positions int64 [N] -> [...I, ...].
 */
export function spreadRows(rows: Tensor, index: Tensor, positions: Tensor): Tensor {
  const tail = rows.shape.slice(1);
  return composite(
    rows.graph,
    [rows],
    () => [placeRows(rows, index)],
    ([dy]) => [dy ? gather(reshape(dy, [-1, ...tail]), positions) : null],
  )[0]!;
}

function placeRows(rows: Tensor, index: Tensor): Tensor {
  return gather(concat([rows, zeros(rows.graph, [1, ...rows.shape.slice(1)])], 0), index);
}
