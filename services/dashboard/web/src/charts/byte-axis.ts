import { byteUnit, formatBytes } from '../format/numbers';

/** An axis in bytes. */
export interface ByteAxis {
  /** Both are whole multiples of the interval. */
  min: number;
  max: number;
  interval: number;
  format: (bytes: number) => string;
}

const MOST_INTERVALS = 4;
/** A smaller change looks level: three digits tell its ticks apart. */
const LEAST_SHARE = 0.04;

/** An axis for values from `least` to `most` bytes, whose ticks are round in the unit of the largest: KiB, MiB, GiB. */
export function byteAxis(least: number, most: number): ByteAxis {
  const unit = byteUnit(most).bytes;
  const span = Math.max(most - least || most || unit, most * LEAST_SHARE);
  const interval = unit * roundStep(span / unit / MOST_INTERVALS);
  const first = Math.floor(least / interval);
  const last = Math.max(first + 1, Math.ceil(most / interval));
  return {
    min: first * interval,
    max: last * interval,
    interval,
    format: (bytes) => (bytes === 0 ? '0' : formatBytes(bytes, most)),
  };
}

/** The least of 1, 2, 5, 10, ... (and 0.5, 0.2, ...) that is no smaller. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * (STEPS.find((step) => step * power >= least) ?? 10);
}
const STEPS = [1, 2, 5];
