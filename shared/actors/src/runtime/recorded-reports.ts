import { setTimeout as sleep } from 'node:timers/promises';
import type { MetricReport } from '@forge/contracts';
import type { MetricCollector } from '@forge/telemetry';

/** Pause between two reports, during which values are gathered. */
const GATHER_MS = 100;

/** Reports of recorded values, for as long as they are read. */
export async function* recordedReports(
  collector: Pick<MetricCollector, 'take' | 'whenRecorded'>,
): AsyncGenerator<MetricReport[]> {
  for (;;) {
    await new Promise<void>((resolve) => {
      const end = collector.whenRecorded(() => {
        queueMicrotask(() => end());
        resolve();
      });
    });
    await sleep(GATHER_MS);
    const reports = collector.take();
    if (reports.length > 0) yield reports;
  }
}
