import type { Recovery } from './recovery';

/** One line per blow. */
export function recoveryLine(
  number: number,
  { blow, victims, version, backMs, recoveredMs }: Recovery,
): string {
  return [
    String(number).padStart(4),
    blow.action,
    victims.join(' + ').padEnd(30),
    `at version ${version}`.padEnd(17),
    `ready again ${seconds(backMs)}`,
    `recovered ${seconds(recoveredMs)}`,
  ].join('  ');
}

/** Median and maximum of the time to full recovery, by what was done to what. */
export function recoveryTable(recoveries: readonly Recovery[]): string {
  const byKind = new Map<string, number[]>();
  for (const { blow, recoveredMs } of recoveries) {
    const kind = blow.victims.length > 1 ? 'kill two at once' : `${blow.action} ${blow.victims[0]}`;
    byKind.set(kind, [...(byKind.get(kind) ?? []), recoveredMs]);
  }
  const row = (kind: string, times: readonly number[]): string =>
    `${kind.padEnd(20)}${String(times.length).padStart(4)}  ${seconds(median(times))}  ${seconds(Math.max(...times))}`;
  const rows = [...byKind].sort(([a], [b]) => b.localeCompare(a)).map(([kind, times]) => row(kind, times));
  return [`${''.padEnd(20)}   n    median       max`, ...rows].join('\n');
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(2).padStart(6)} s`;
