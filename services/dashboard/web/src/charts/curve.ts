import type { MetricsRow } from '../../../src/api';
import { formatValue } from '../format/numbers';

/** Points of a curve, by step. */
export type Points = readonly (readonly [step: number, value: number])[];

export interface Series {
  name: string;
  points: Points;
  /** Dashes tell it from others of the same colour, as the curves of another run. */
  isDashed?: boolean;
  /** Colour by its index in the palette; by the curve's place when left out. */
  color?: number;
  /** Stays as it is until it changes, as the newest evaluation does. */
  isStepped?: boolean;
}

/** An event at a step. */
export interface Mark {
  step: number;
  label: string;
}

export function pointsOf(rows: readonly MetricsRow[], key: string): Points {
  return rows.flatMap((row) => {
    const value = row[key];
    return value === undefined || !Number.isFinite(value) ? [] : [[row.step, value] as const];
  });
}

/** A chart in words, for those who don't see it. */
export function describeSeries(series: readonly Series[], unit: string): string {
  if (series.every(({ points }) => points.length === 0)) return 'no values yet';
  return series
    .filter(({ points }) => points.length > 0)
    .map(({ name, points }) => {
      const values = points.map(([, value]) => value);
      const least = values.reduce((a, b) => Math.min(a, b));
      const most = values.reduce((a, b) => Math.max(a, b));
      const [first, last] = [points[0]!, points.at(-1)!];
      return `${name}: ${formatValue(first[1], unit)} at step ${first[0]}, ${formatValue(last[1], unit)} at step ${last[0]}; between ${formatValue(least, unit)} and ${formatValue(most, unit)}`;
    })
    .join('. ');
}

/** The numbers of marks; of those that are too close to be read beside each other, the first says all: `2–4`. */
export function markLabels(marks: readonly Mark[], apart: number): Mark[] {
  const labels: { step: number; from: number; to: number }[] = [];
  const lines: { step: number; label: () => string }[] = [];
  for (const [k, { step }] of marks.entries()) {
    const last = labels.at(-1);
    if (last !== undefined && step - last.step < apart) {
      last.to = k + 1;
      lines.push({ step, label: () => '' });
      continue;
    }
    const own = { step, from: k + 1, to: k + 1 };
    labels.push(own);
    lines.push({ step, label: () => (own.from === own.to ? String(own.from) : `${own.from}–${own.to}`) });
  }
  return lines.map(({ step, label }) => ({ step, label: label() }));
}

/** Curves that are the same, as of the only reward and the sum of all, are one. */
export function withoutTwins(series: readonly Series[]): Series[] {
  const kept: Series[] = [];
  for (const one of series) {
    const twin = kept.findIndex(({ points }) => isSame(points, one.points));
    if (twin === -1) kept.push(one);
    else kept[twin] = { ...kept[twin]!, name: `${kept[twin]!.name} = ${one.name}` };
  }
  return kept;
}

const isSame = (a: Points, b: Points): boolean =>
  a.length > 1 &&
  a.length === b.length &&
  a.every(([step, value], k) => step === b[k]![0] && value === b[k]![1]);
