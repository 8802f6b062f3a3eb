import { ForgeError, type WireError } from '@forge/errors';
import type { Dimensions, Extent } from '../actor/extent';

/** One value per member of a mesh, in the shape of the mesh. */
export class ValueMesh<T> implements Iterable<[rank: number, value: T]> {
  constructor(
    private readonly extent: Extent,
    /** Values in the order of the ranks. */
    readonly values: readonly T[],
  ) {}

  get size(): number {
    return this.values.length;
  }

  get dimensions(): Dimensions {
    return this.extent.dimensions;
  }

  /** @throws {ForgeError} CONTRACT_INVALID_CALL for a point that is not in the mesh. */
  get(coordinates: Dimensions): T {
    return this.values[this.extent.positionOf(coordinates)] as T;
  }

  /** @throws {ForgeError} CONTRACT_INVALID_CALL unless there is exactly one value. */
  item(): T {
    if (this.values.length === 1) return this.values[0] as T;
    const message = `item() needs a mesh of one, this one has ${this.extent.describe()}`;
    throw new ForgeError('CONTRACT_INVALID_CALL', message, { mesh: this.dimensions });
  }

  map<U>(convert: (value: T, rank: number) => U): ValueMesh<U> {
    const ranks = this.extent.ranks();
    return new ValueMesh(
      this.extent,
      this.values.map((value, position) => convert(value, ranks[position] ?? position)),
    );
  }

  *[Symbol.iterator](): Iterator<[number, T]> {
    const ranks = this.extent.ranks();
    for (const [position, value] of this.values.entries()) yield [ranks[position] ?? position, value];
  }
}

/**
 * A call on several members of which some failed. Code and message come from the first failure; `results` has the
 * outcome of each member, in their order.
 */
export class PartialFailure<T = unknown> extends ForgeError {
  readonly results: readonly PromiseSettledResult<T>[];
  /** Ranks of the members that failed. */
  readonly failedRanks: readonly number[];

  constructor(what: string, results: readonly PromiseSettledResult<T>[], ranks: readonly number[]) {
    const failures = results.flatMap((result, position) =>
      result.status === 'rejected'
        ? [{ rank: ranks[position] ?? position, error: ForgeError.from(result.reason) }]
        : [],
    );
    const [first] = failures;
    const error = first?.error ?? new ForgeError('BUG_INVARIANT', 'no failure');
    const failed = failures.map(({ rank }) => rank);
    const errors: Record<string, WireError> = Object.fromEntries(
      failures.map((failure) => [failure.rank, failure.error.toWire()]),
    );
    const message = `${what} failed on ${failed.length} of ${results.length} (${failed.join(', ')}): ${error.message}`;
    super(error.code, message, { ...error.details, failedRanks: failed, errors }, { cause: error });
    this.results = results;
    this.failedRanks = failed;
  }
}
