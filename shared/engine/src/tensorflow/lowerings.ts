import { lowerAdamW } from './adamw';
import { lowerCrossEntropy } from './cross-entropy';
import { ELEMENTWISE } from './elementwise';
import { INDEXING } from './indexing';
import { LAYOUT } from './layout';
import { lowerLoop } from './loop';
import { NORMALIZATION } from './normalization';
import type { Lowering } from './planner';
import { PRODUCTS } from './products';

/** How each op of the graph is computed by ops of TensorFlow, by its type. */
export const LOWERINGS: ReadonlyMap<string, Lowering> = new Map(
  Object.entries({
    ...ELEMENTWISE,
    ...LAYOUT,
    ...INDEXING,
    ...PRODUCTS,
    ...NORMALIZATION,
    CrossEntropy: lowerCrossEntropy,
    Loop: lowerLoop,
    AdamW: lowerAdamW,
  }),
);
