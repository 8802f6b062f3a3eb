export interface RunSettings {
  /** Policy versions a trained token may be old; may be Infinity. */
  maxStaleness: number;
  /** Groups consumed by one batch, the ones not selected included. */
  candidatesPerBatch: number;
  /** Optimizer steps of the run. */
  steps: number;
  /** Held-out accuracy at which it ends; left out: none. */
  stopAtAccuracy?: number | undefined;
}

export interface RunBounds {
  /** Groups in flight at most. */
  inFlight: number;
  /** Groups in flight, buffered and leased at most; at least as many as a batch consumes. */
  held: number;
  /** Entries of the groups stream at most. */
  groups: number;
  /** Groups whose records are kept; the oldest that are trained or discarded are forgotten beyond it. */
  history: number;
  /** Dead letters; the oldest make room and are counted. */
  deadLetters: number;
  /** Entries of the telemetry stream; the oldest are trimmed. */
  telemetry: number;
}

/** Bounds where a recipe sets no others. */
export const BOUNDS: RunBounds = {
  inFlight: 512,
  held: 4_096,
  groups: 1024,
  history: 100_000,
  deadLetters: 1_000,
  telemetry: 20_000,
};
