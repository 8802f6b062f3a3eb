import type { RunSummary } from '../report';

/** Numbers of one step, or of one moment towards it. */
export interface SinkRow {
  step: number;
  /** Milliseconds since the epoch. */
  atMs: number;
  values: Readonly<Record<string, number>>;
}

/** A place for metrics of a run, besides its own `metrics.jsonl`. */
export interface MetricSink {
  /** Its name to people. */
  readonly name: string;
  /** Puts rows there, in their order. An error makes them come again, with newer ones. */
  write(rows: readonly SinkRow[]): Promise<void>;
  /** Called after the last row. */
  close(state: EndState): Promise<void>;
}

/** How a run ended; an interrupted run may go on later. */
export type EndState = RunSummary['state'];
