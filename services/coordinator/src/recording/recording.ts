import { setTimeout as sleep } from 'node:timers/promises';
import type { RunState, SpanLog } from '@forge/broker';
import type { Recipe } from '@forge/config';
import type { SpanFile } from '@forge/service-kit';
import type { Evaluations } from '../evaluations';
import type { StepWork } from '../step-work';
import type { RunDirectory } from './run-directory';
import { writeRunSummary } from './run-summary';
import type { EndState } from './sinks/metric-sink';
import type { RunSinks } from './sinks/run-sinks';
import { TelemetryRecorder, type TelemetryRecorderOptions } from './telemetry-recorder';

export interface RecordingOptions {
  runState: Pick<
    RunState,
    'runId' | 'readTelemetry' | 'rejections' | 'version' | 'ledger' | 'weights' | 'controls'
  >;
  recipe: Recipe;
  directory: RunDirectory;
  evaluations: Evaluations;
  reported: StepWork;
  sinks: Pick<RunSinks, 'addStep' | 'addPoints' | 'close'>;
  spans: Pick<SpanLog, 'take'>;
  spanFile: Pick<SpanFile, 'takeFrom'>;
  /** Throws when another coordinator writes the files now. */
  mayWrite: () => Promise<void>;
  /** Services whose reports count. */
  services: readonly string[];
  /** Tunes the run by a step; what its row shows of it. */
  tune: TelemetryRecorderOptions['tune'];
  warn: (message: string) => void;
}

/** How long nothing may come before the coordinator looks whether the run is over. */
const POLL_MS = 250;
const SPANS_MS = 1_000;

/** Keeps the directory of a run: metrics, samples, changes and spans as they come, summary and report at its end. */
export class Recording {
  private constructor(
    private readonly options: RecordingOptions,
    private readonly recorder: TelemetryRecorder,
  ) {}

  /** A recording that goes on behind what an earlier coordinator of the run has written. */
  static async open(options: RecordingOptions): Promise<Recording> {
    return new Recording(options, await TelemetryRecorder.open(options));
  }

  /** Whether the trainer has saved the final model. */
  get isModelSaved(): boolean {
    return this.recorder.isModelSaved;
  }

  /** When the run said its first word, in milliseconds since the epoch; null before. */
  get startedAtMs(): number | null {
    return this.recorder.startedAt;
  }

  /** The newest value of each metric of the run. */
  get newest(): Readonly<Record<string, number>> {
    return this.recorder.newest;
  }

  /** Writes down what the services tell until `over` fires, and calls `onNews` after each piece of it. */
  async follow(over: AbortSignal, onNews: () => Promise<void>): Promise<void> {
    while (!over.aborted) if ((await this.recorder.turn(POLL_MS)) > 0) await onNews();
  }

  /** Writes down finished spans until `stopping` fires: services tell of spans until they end, later than the run does. */
  async followSpans(stopping: AbortSignal): Promise<void> {
    const { spanFile, spans, recipe } = this.options;
    while (!stopping.aborted) {
      await sleep(SPANS_MS, undefined, { signal: stopping }).catch(() => undefined);
      await spanFile.takeFrom(spans, recipe.limits.spansFileMiB);
    }
  }

  /** Writes down everything that is there already. */
  catchUp(): Promise<void> {
    return this.recorder.catchUp();
  }

  /** Writes what is still open, and the summary of the run. */
  async close(state: EndState): Promise<void> {
    const { runState, directory, recipe, evaluations, mayWrite } = this.options;
    await mayWrite();
    await this.recorder.catchUp();
    await this.recorder.close(state);
    const { seconds, isModelSaved } = this.recorder;
    const run = { state, seconds, evaluations: evaluations.results, isModelSaved };
    await writeRunSummary(runState, directory, recipe, run);
  }
}
