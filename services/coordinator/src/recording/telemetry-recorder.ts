import type { RunState } from '@forge/broker';
import { invalidMessage, type TelemetryEvent } from '@forge/contracts';
import type { ForgeError } from '@forge/errors';
import { isDoubtful, type Evaluation, type Evaluations } from '../evaluations';
import type { StepWork } from '../step-work';
import type { SampleRollout } from './report';
import type { RunDirectory } from './run-directory';
import { RunMetrics, type FinishedRow, type MetricsRow } from './run-metrics';
import type { EndState } from './sinks/metric-sink';
import type { RunSinks } from './sinks/run-sinks';

export interface TelemetryRecorderOptions {
  runState: Pick<RunState, 'readTelemetry' | 'rejections'>;
  directory: RunDirectory;
  evaluations: Evaluations;
  reported: StepWork;
  sinks: Pick<RunSinks, 'addStep' | 'addPoints' | 'close'>;
  /** Throws when another coordinator writes the files now. */
  mayWrite: () => Promise<void>;
  /** Services whose reports count. */
  services: readonly string[];
  /** Tunes the run by a step; what its row shows of it. */
  tune: (row: MetricsRow) => Promise<Record<string, number>>;
  warn: (message: string) => void;
}

/** Newest rollouts that are remembered as shown. */
const REMEMBERED = 10_000;

/** Follows the telemetry of the run and writes down what people will read. */
export class TelemetryRecorder {
  private cursor = '0';
  private startedAtMs: number | null = null;
  private isSaved = false;

  private constructor(
    private readonly options: TelemetryRecorderOptions,
    private readonly metrics: RunMetrics,
    /** Groups whose sample is written: what an earlier coordinator wrote is read again. */
    private readonly shown: Set<number>,
    /** Ids of the changes that are written. */
    private readonly controls: Set<string>,
    private elapsedSeconds: number,
  ) {}

  /** A recorder that goes on behind what an earlier coordinator of the run has written. */
  static async open(options: TelemetryRecorderOptions): Promise<TelemetryRecorder> {
    const { directory, evaluations, warn } = options;
    const rows = await directory.metrics();
    const restored = new Map(
      rows.flatMap(evaluationOf).map((evaluation) => [evaluation.version, evaluation]),
    );
    for (const evaluation of restored.values()) evaluations.restore(evaluation);
    const metrics = new RunMetrics(rows.at(-1)?.step ?? 0, evaluations.results.at(-1) ?? null, warn);
    const shown = new Set((await directory.samples()).map(({ index }) => index));
    const controls = new Set((await directory.controls()).map(({ id }) => id));
    const elapsedSeconds = rows.at(-1)?.['time/elapsed_s'] ?? 0;
    const recorder = new TelemetryRecorder(options, metrics, shown, controls, elapsedSeconds);
    await recorder.catchUp();
    return recorder;
  }

  /** Whether the trainer has saved the final model. */
  get isModelSaved(): boolean {
    return this.isSaved;
  }

  /** When the run has said its first word, in milliseconds since the epoch. */
  get startedAt(): number | null {
    return this.startedAtMs;
  }

  /** The newest value of each metric of the run. */
  get newest(): Readonly<Record<string, number>> {
    return this.metrics.newest;
  }

  get seconds(): number {
    return this.elapsedSeconds;
  }

  /** Handles what is there, waiting up to `blockMs` for some; how many events there were. */
  async turn(blockMs: number): Promise<number> {
    const entries = await this.options.runState.readTelemetry(this.cursor, blockMs);
    const refused: { id: string; why: ForgeError }[] = [];
    for (const entry of entries) {
      const { id, event } = entry;
      const why = event === null ? entry.fault : this.refusalOf(event);
      if (why !== null) refused.push({ id, why });
      else if (event !== null) {
        const atMs = Number(id.split('-')[0]);
        // Time between the end of a run and its resume does not count.
        if (event.kind === 'run' && event.state === 'resumed')
          this.startedAtMs = atMs - this.elapsedSeconds * 1000;
        this.startedAtMs ??= atMs;
        this.elapsedSeconds = (atMs - this.startedAtMs) / 1000;
        await this.record(event);
      }
      this.cursor = id;
    }
    await this.options.runState.rejections.drop('telemetry', refused);
    return entries.length;
  }

  /** Handles everything that is there already. */
  async catchUp(): Promise<void> {
    while ((await this.turn(1)) > 0);
  }

  /** Completes the newest row with what came behind it, and lets the sinks take what they lack. */
  async close(state: EndState): Promise<void> {
    await this.writeLate();
    await this.options.sinks.close(state);
  }

  private refusalOf(event: TelemetryEvent): ForgeError | null {
    const isOfService = event.kind === 'service' || event.kind === 'recorded';
    if (!isOfService || this.options.services.includes(event.service)) return null;
    return invalidMessage('telemetry', 'unknown', `there is no service ${event.service}`);
  }

  private async record(event: TelemetryEvent): Promise<void> {
    switch (event.kind) {
      case 'step':
        this.metrics.rejected = await this.options.runState.rejections.totals();
        // A trainer that was told to end in the middle of the run has saved a model, too.
        this.isSaved = false;
        this.options.reported.beginNext();
        await this.write(this.metrics.addStep(event, this.elapsedSeconds));
        break;
      case 'service':
        this.metrics.addService(event, this.elapsedSeconds);
        this.options.reported.addReport(event);
        break;
      case 'recorded':
        this.addRecorded(event);
        break;
      case 'evaluation': {
        const evaluation = this.options.evaluations.record(event);
        if (evaluation === null) break;
        this.metrics.addEvaluation(evaluation);
        if (isDoubtful(evaluation))
          this.options.warn(
            `most held-out samples of version ${evaluation.version} could not be judged: its accuracy decides nothing; forge dead-letter list says why`,
          );
        break;
      }
      case 'rollout': {
        if (this.isShown(event.index)) break;
        await this.options.mayWrite();
        await this.options.directory.addSample(sampleOf(event));
        break;
      }
      case 'control': {
        if (this.controls.has(event.id)) break;
        await this.options.mayWrite();
        const { id, version, operation, name, from, to, reason } = event;
        const change = { version, operation, name, from, to, id, ...(reason !== undefined && { reason }) };
        await this.options.directory.addControl({ seconds: this.elapsedSeconds, ...change });
        this.controls.add(id);
        break;
      }
      case 'waiting':
      case 'progress':
        break;
      case 'run':
        if (event.state === 'saved') this.isSaved = true;
        if (event.state !== 'resumed') break;
        this.isSaved = false;
        // A run that was killed could not write them at its end.
        await this.writeLate();
    }
  }

  private addRecorded(event: Extract<TelemetryEvent, { kind: 'recorded' }>): void {
    const { points, step } = this.metrics.addRecorded(event);
    this.options.sinks.addPoints(step, points);
  }

  /** A rollout that is told twice is shown once. */
  private isShown(index: number): boolean {
    if (this.shown.has(index)) return true;
    this.shown.add(index);
    if (this.shown.size > REMEMBERED)
      for (const oldest of this.shown.values()) return !this.shown.delete(oldest);
    return false;
  }

  /** Completes the newest row with what came behind it; an earlier coordinator may have done so. */
  private async writeLate(): Promise<void> {
    const { directory, sinks, mayWrite } = this.options;
    const { step, values, recorded, ranks } = this.metrics.late();
    const newest = (await directory.metrics()).at(-1);
    if (newest?.step !== step) return;
    const changed = Object.entries(values).filter(isChanged(newest));
    if (changed.length === 0) return;
    await mayWrite();
    const late = Object.fromEntries(changed);
    await directory.completeMetrics(late);
    sinks.addStep({ row: { step, ...late }, recorded, ranks }, Date.now());
  }

  private async write(finished: FinishedRow | null): Promise<void> {
    if (finished === null) return;
    await this.options.mayWrite();
    Object.assign(finished.row, await this.options.tune(finished.row));
    await this.options.directory.addMetrics(finished.row);
    this.options.sinks.addStep(finished, Date.now());
  }
}

function isChanged(row: MetricsRow): (entry: [string, number]) => boolean {
  return ([key, value]) => row[key] !== value;
}

const sampleOf = ({ kind: _, ...sample }: Extract<TelemetryEvent, { kind: 'rollout' }>): SampleRollout =>
  sample;

function evaluationOf(row: MetricsRow): Evaluation[] {
  const { 'eval/version': version, 'eval/accuracy': accuracy, 'eval/unjudged_share': unjudged = 0 } = row;
  return version === undefined || accuracy === undefined ? [] : [{ version, accuracy, unjudged }];
}
