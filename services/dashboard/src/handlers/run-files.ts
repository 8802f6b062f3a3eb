import { runPaths } from '@forge/contracts';
import { findLine, GrowingFile, linesInParts, newestLines } from '@forge/runs';
import { SpanFile } from '@forge/service-kit';
import type { ControlChange, MetricsRow, SampleRollout, Span } from '../api';
import { controlChange } from '../domain/control-change';
import { metricsRow } from '../domain/run-listing';
import { sampleRollout } from '../domain/sample-rollout';
import { MOST_ROWS, thinnedRows } from '../domain/thinned-rows';

/** Samples told at once; a page that wants older ones asks for them. */
const MOST_TOLD = 50;

/** Lines that were added to the files of a run. */
export interface Added {
  metrics: readonly MetricsRow[];
  samples: SampleRollout[];
  controls: ControlChange[];
}

const kept = <T>(lines: readonly unknown[], read: (line: unknown) => T | null): T[] =>
  lines.flatMap((line) => read(line) ?? []);

/** The files in the directory of a run to which its coordinator adds. */
export class RunFiles {
  private readonly files: Record<keyof Added, GrowingFile>;

  constructor(private readonly directory: string) {
    const file = (name: keyof Added): GrowingFile => new GrowingFile(this.path(name));
    this.files = { metrics: file('metrics'), samples: file('samples'), controls: file('controls') };
  }

  /** Rows behind a step; of many a choice, `thinnedRows`. */
  async metrics(after = -1): Promise<readonly MetricsRow[]> {
    let rows: readonly MetricsRow[] = [];
    for await (const lines of linesInParts(this.path('metrics'))) {
      rows = [...rows, ...kept(lines, metricsRow).filter(({ step }) => step > after)];
      if (rows.length > 2 * MOST_ROWS) rows = thinnedRows(rows);
    }
    return thinnedRows(rows);
  }

  /** The row of a step; null where it has no row. */
  async metricsOf(step: number): Promise<MetricsRow | null> {
    const isIt = (line: unknown): line is unknown => metricsRow(line)?.step === step;
    return metricsRow(await findLine(this.path('metrics'), isIt));
  }

  /** The newest rows, oldest first. */
  async newestMetrics(count: number): Promise<MetricsRow[]> {
    return kept(await newestLines(this.path('metrics'), count), metricsRow);
  }

  /** Newest first. */
  async samples(limit: number): Promise<SampleRollout[]> {
    return kept(await newestLines(this.path('samples'), limit), sampleRollout).reverse();
  }

  async sampleOf(index: number): Promise<SampleRollout | null> {
    const isIt = (line: unknown): line is unknown => (line as { index?: unknown } | null)?.index === index;
    return sampleRollout(await findLine(this.path('samples'), isIt));
  }

  /** The spans of a trace, by their start. */
  async spans(traceId: string): Promise<Span[]> {
    const spans = await new SpanFile(this.directory).trace(traceId);
    return spans.map(({ traceId: _, kind: __, ...span }) => span);
  }

  /** Oldest first. */
  async controls(): Promise<ControlChange[]> {
    return kept((await new GrowingFile(this.path('controls')).read()).lines, controlChange);
  }

  /** Passes over all that is there: `added` begins behind it. */
  async skip(): Promise<void> {
    await Promise.all(Object.values(this.files).map((file) => file.skip()));
  }

  /** Lines that came since the last time, of samples the newest; all lines of a file that a resumed run wrote anew. */
  async added(): Promise<Added> {
    const { metrics, samples, controls } = this.files;
    const [rows, rollouts, changes] = await Promise.all([metrics.read(), samples.read(), controls.read()]);
    return {
      metrics: thinnedRows(kept(rows.lines, metricsRow)),
      samples: kept(rollouts.lines.slice(-MOST_TOLD), sampleRollout).reverse(),
      controls: kept(changes.lines, controlChange),
    };
  }

  private path(name: keyof Added): string {
    return runPaths(this.directory)[name];
  }
}
