import { ForgeError } from '@forge/errors';

/** Sizes by dimension, outermost first. */
export type Dimensions<D extends string = string> = Readonly<Record<D, number>>;

/** An index of a dimension, which drops it, or a half-open range `[start, stop]` of it. */
export type Selection = number | readonly [start: number, stop: number];

/** One position: its rank in the whole mesh and its index in each dimension. */
export interface Point {
  readonly rank: number;
  readonly coordinates: Dimensions;
}

interface Axis {
  readonly name: string;
  readonly size: number;
  readonly stride: number;
}

/** The shape of a mesh, or of a part of one: positions keep the ranks they have in the whole. */
export class Extent {
  private constructor(
    private readonly axes: readonly Axis[],
    private readonly offset: number,
  ) {}

  /** @throws {ForgeError} CONFIG_INVALID for a size that is no positive integer. */
  static of(dimensions: Dimensions): Extent {
    const sizes = Object.entries(dimensions);
    for (const [name, size] of sizes) {
      if (Number.isSafeInteger(size) && size > 0) continue;
      throw new ForgeError('CONFIG_INVALID', `dimension ${name}: ${String(size)} is no positive integer`, {
        dimension: name,
        size,
      });
    }
    let stride = 1;
    const axes: Axis[] = [];
    for (const [name, size] of sizes.reverse()) {
      axes.unshift({ name, size, stride });
      stride *= size;
    }
    return new Extent(axes, 0);
  }

  get size(): number {
    return this.axes.reduce((product, { size }) => product * size, 1);
  }

  get dimensions(): Dimensions {
    return Object.fromEntries(this.axes.map(({ name, size }) => [name, size]));
  }

  /** Ranks in the whole mesh, in order of the positions of this part. */
  ranks(): number[] {
    let ranks = [this.offset];
    for (const { size, stride } of this.axes)
      ranks = ranks.flatMap((rank) => Array.from({ length: size }, (_, index) => rank + index * stride));
    return ranks;
  }

  /** The index in each dimension of the `position`-th place of this part. */
  coordinates(position: number): Dimensions {
    const coordinates: Record<string, number> = {};
    let rest = position;
    for (const { name, size } of [...this.axes].reverse()) {
      coordinates[name] = rest % size;
      rest = Math.floor(rest / size);
    }
    return Object.fromEntries(this.axes.map(({ name }) => [name, coordinates[name] ?? 0]));
  }

  /** The place of a point within this part. */
  positionOf(coordinates: Dimensions): number {
    this.refuseUnknown(coordinates);
    let position = 0;
    for (const { name, size } of this.axes) {
      const index = coordinates[name];
      if (index === undefined)
        throw new ForgeError(
          'CONTRACT_INVALID_CALL',
          `no index for dimension ${name} of ${this.describe()}`,
          {
            dimension: name,
          },
        );
      position = position * size + this.checkIndex(name, index, size);
    }
    return position;
  }

  /** @throws {ForgeError} CONTRACT_INVALID_CALL for a dimension or an index that is not in the mesh. */
  slice(selections: Readonly<Record<string, Selection>>): Extent {
    this.refuseUnknown(selections);
    let offset = this.offset;
    const axes: Axis[] = [];
    for (const axis of this.axes) {
      const selection = selections[axis.name];
      if (selection === undefined) axes.push(axis);
      else if (typeof selection === 'number')
        offset += this.checkIndex(axis.name, selection, axis.size) * axis.stride;
      else {
        const [start, stop] = selection;
        this.checkIndex(axis.name, start, axis.size);
        if (!Number.isSafeInteger(stop) || stop <= start || stop > axis.size)
          throw this.outside(axis.name, `[${start}, ${stop}]`, axis.size);
        offset += start * axis.stride;
        axes.push({ ...axis, size: stop - start });
      }
    }
    return new Extent(axes, offset);
  }

  /** `hosts=2, gpus=4`, for messages. */
  describe(): string {
    return this.axes.map(({ name, size }) => `${name}=${size}`).join(', ') || 'a single process';
  }

  private refuseUnknown(named: Readonly<Record<string, unknown>>): void {
    const unknown = Object.keys(named).find((name) => !this.axes.some((axis) => axis.name === name));
    if (unknown === undefined) return;
    const message = `${unknown} is no dimension of the mesh: ${this.describe()}`;
    throw new ForgeError('CONTRACT_INVALID_CALL', message, { dimension: unknown, mesh: this.dimensions });
  }

  private checkIndex(name: string, index: number, size: number): number {
    if (Number.isSafeInteger(index) && index >= 0 && index < size) return index;
    throw this.outside(name, String(index), size);
  }

  private outside(dimension: string, found: string, size: number): ForgeError {
    const message = `${dimension}: ${found} is outside 0 to ${size - 1}`;
    return new ForgeError('CONTRACT_INVALID_CALL', message, { dimension, found, size });
  }
}
