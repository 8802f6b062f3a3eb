import { ForgeError } from '@forge/errors';

/**
 * A dimension: a number, or a symbol such as `B` that is known only when the graph runs. Products of symbols are
 * written in canonical form, `B*T`, with a numeric coefficient in front where there is one.
 */
export type Dim = number | string;

interface Product {
  coefficient: number;
  symbols: string[];
}

function factors(dim: Dim): Product {
  if (typeof dim === 'number') return { coefficient: dim, symbols: [] };
  const product: Product = { coefficient: 1, symbols: [] };
  for (const factor of dim.split('*')) {
    if (/^\d+$/.test(factor)) product.coefficient *= Number(factor);
    else product.symbols.push(factor);
  }
  return product;
}

function canonical({ coefficient, symbols }: Product): Dim {
  if (symbols.length === 0 || coefficient === 0) return coefficient;
  return [...(coefficient === 1 ? [] : [String(coefficient)]), ...symbols.sort()].join('*');
}

/** The numeric coefficient and the symbols a dimension is the product of. */
export function dimFactors(dim: Dim): { coefficient: number; symbols: readonly string[] } {
  return factors(dim);
}

/** The number of elements of a shape. */
export function productOf(dims: readonly Dim[]): Dim {
  const product: Product = { coefficient: 1, symbols: [] };
  for (const dim of dims) {
    const { coefficient, symbols } = factors(dim);
    product.coefficient *= coefficient;
    product.symbols.push(...symbols);
  }
  return canonical(product);
}

/** `total / part`, or null where it does not divide. */
export function quotient(total: Dim, part: Dim): Dim | null {
  const [above, below] = [factors(total), factors(part)];
  if (below.coefficient === 0 || above.coefficient % below.coefficient !== 0) return null;
  for (const symbol of below.symbols) {
    const at = above.symbols.indexOf(symbol);
    if (at < 0) return null;
    above.symbols.splice(at, 1);
  }
  return canonical({ coefficient: above.coefficient / below.coefficient, symbols: above.symbols });
}

/** The sum of two dimensions; a new symbol where one of them is symbolic. */
export function sumOf(a: Dim, b: Dim): Dim {
  if (a === 0) return b;
  if (b === 0) return a;
  return typeof a === 'number' && typeof b === 'number' ? a + b : `(${a}+${b})`.replaceAll('*', '.');
}

export function shapeText(shape: readonly Dim[]): string {
  return `[${shape.join(', ')}]`;
}

export function shapeError(op: string, message: string, shapes: readonly (readonly Dim[])[]): ForgeError {
  const shown = shapes.map(shapeText).join(' and ');
  return new ForgeError('SHAPE_MISMATCH', `${op}: ${message}; got ${shown}`, { op, shapes });
}

/**
 * The shape of an elementwise result: dimensions are aligned at the end, and 1 stretches.
 *
 * @throws {ForgeError} SHAPE_MISMATCH when two aligned dimensions differ and neither is 1.
 */
export function broadcastShapes(op: string, a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[a.length - rank + i] ?? 1, b[b.length - rank + i] ?? 1];
    if (x !== y && x !== 1 && y !== 1) throw shapeError(op, 'dimensions must be equal or 1', [a, b]);
    return x === 1 ? y : x;
  });
}

/** A non-negative axis. */
export function axisOf(op: string, axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (positive >= 0 && positive < rank) return positive;
  throw new ForgeError('SHAPE_MISMATCH', `${op}: axis ${axis} is outside a tensor of rank ${rank}`, {
    op,
    axis,
    rank,
  });
}
