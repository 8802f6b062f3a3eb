import { randomUUID } from 'node:crypto';
import type { RunState } from '@forge/broker';
import { metricCollector, oncePer } from '@forge/telemetry';

const REPORT_MS = 500;

/**
 * Reports what this process records, soon after it does; returns a function that sends the rest and ends.
 *
 * @param wantsValues whether single values are sent, too.
 */
export function reportRecorded(
  runState: Pick<RunState, 'emit'>,
  who: { service: string; replica: string },
  wantsValues: boolean,
  fail: (error: unknown) => void,
): () => Promise<void> {
  const collector = metricCollector();
  const incarnation = randomUUID();
  let sequence = 0;
  const report = async (): Promise<void> => {
    const taken = collector.take();
    const reports = wantsValues ? taken : taken.map((one) => ({ ...one, values: [] }));
    if (reports.length === 0) return;
    await runState.emit({ kind: 'recorded', ...who, incarnation, sequence: sequence++, reports });
  };
  const end = collector.whenRecorded(oncePer(REPORT_MS, () => void report().catch(fail)));
  return () => {
    end();
    return report();
  };
}
