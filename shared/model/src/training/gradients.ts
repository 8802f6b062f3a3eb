/** Gradients by parameter name, flat in the layout of the parameter. */
export type Gradients = Map<string, Float32Array>;

/** Adds `addend` into `total`, entry by entry. */
export function accumulate(total: Gradients, addend: Gradients): void {
  for (const [name, sum] of total) {
    const values = addend.get(name)!;
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + values[i]!;
  }
}

/** The sum of the squares of `values` in float64; not finite exactly when some value is not finite. */
export function sumOfSquares(values: Float32Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  let i = 0;
  // Four independent sums, so that one addition need not wait for the one before it.
  for (; i + 3 < values.length; i += 4) {
    const [w, x, y, z] = [values[i]!, values[i + 1]!, values[i + 2]!, values[i + 3]!];
    a += w * w;
    b += x * x;
    c += y * y;
    d += z * z;
  }
  for (; i < values.length; i++) a += values[i]! * values[i]!;
  return a + b + (c + d);
}

/** The Euclidean norm over all tensors together, from the squares of each; not finite exactly when some value is not. */
export function normOf(squares: ReadonlyMap<string, number>): number {
  let total = 0;
  for (const sum of squares.values()) total += sum;
  return Math.sqrt(total);
}

/** The factor that brings gradients of norm `norm` down to `maxNorm`; 1 for smaller ones. */
export function clipScale(norm: number, maxNorm: number): number {
  return norm > maxNorm ? maxNorm / norm : 1;
}

/** The first name, in the order given, of a tensor whose squares have no finite sum. */
export function firstNonFinite(squares: Iterable<readonly [string, number]>): string | undefined {
  for (const [name, sum] of squares) if (!Number.isFinite(sum)) return name;
  return undefined;
}
