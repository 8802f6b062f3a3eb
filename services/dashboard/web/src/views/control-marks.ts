import type { ControlChange, MetricsRow } from '../../../src/api';
import type { Mark } from '../charts/curve';

/** A change in words. */
export function changeText({ operation, name, from, to, reason }: ControlChange): string {
  if (reason !== undefined) return `${operation} ${name} ${from} → ${to}: ${reason}`;
  if (operation === 'pause' || operation === 'unpause') return operation;
  if (from === '' && to === '') return `${operation} ${name}`.trim();
  if (from === '') return `${operation} ${name} ${to}`.replaceAll('  ', ' ').trim();
  return `${operation === 'set' ? '' : `${operation} `}${name} ${from} → ${to}`;
}

/** Where curves are marked, by changes and rollbacks; those at the same step share a mark. */
export function marksOf(controls: readonly ControlChange[], rows: readonly MetricsRow[]): Mark[] {
  const bySteps = new Map<number, string[]>();
  const add = (step: number, text: string): void => {
    bySteps.set(step, [...(bySteps.get(step) ?? []), text]);
  };
  for (const change of controls) add(change.version, changeText(change));
  for (const { step, 'rollback/to': to } of rows) if (to !== undefined) add(step, `rolled back to ${to}`);
  return [...bySteps]
    .map(([step, texts]) => ({ step, label: texts.join(', ') }))
    .sort((a, b) => a.step - b.step);
}
