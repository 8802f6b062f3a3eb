import type { RunState } from '@forge/broker';
import type { TelemetryEvent } from '@forge/contracts';
import type { ForgeError } from '@forge/errors';
import type { EvaluationSchedule } from '../domain/evaluation-schedule';
import { implausible, type RunPosition } from '../domain/plausible-event';
import { RunMetrics, type MetricsRow } from '../domain/run-metrics';
import type { RunDirectory } from '../run-directory';

type Telemetry = Pick<RunState, 'readTelemetry' | 'version' | 'admittedCount' | 'rejections'>;

/** Of so many of the newest rollouts it is known that they were shown. */
const REMEMBERED = 10_000;

/** Follows the telemetry of the run and writes down what people will read. */
export class TelemetryRecorder {
  private cursor = '0';
  private startedAtMs: number | null = null;
  private elapsedSeconds = 0;
  private isSaved = false;
  private position: RunPosition = { version: 0, admitted: 0 };
  private readonly shown = new Set<number>();

  private constructor(
    private readonly runState: Telemetry,
    private readonly directory: RunDirectory,
    private readonly evaluations: EvaluationSchedule,
    private readonly metrics: RunMetrics,
    private samplesUpTo: number,
    /** Throws when another coordinator writes the files now. */
    private readonly mayWrite: () => Promise<void>,
    private readonly services: readonly string[],
  ) {}

  /** A recorder that goes on behind what an earlier coordinator of the run has written. */
  static async open(
    runState: Telemetry,
    directory: RunDirectory,
    evaluations: EvaluationSchedule,
    mayWrite: () => Promise<void>,
    services: readonly string[],
  ): Promise<TelemetryRecorder> {
    const rows = await directory.metrics();
    const restored = new Map(rows.flatMap(evaluationOf));
    for (const [version, accuracy] of restored) evaluations.restore({ version, accuracy });
    const metrics = new RunMetrics(rows.at(-1)?.step ?? 0, evaluations.results.at(-1) ?? null);
    const samplesUpTo = (await directory.samples()).reduce((last, { index }) => Math.max(last, index), -1);
    const recorder = new TelemetryRecorder(
      runState,
      directory,
      evaluations,
      metrics,
      samplesUpTo,
      mayWrite,
      services,
    );
    await recorder.catchUp();
    return recorder;
  }

  /** Whether the trainer has saved the final model. */
  get isModelSaved(): boolean {
    return this.isSaved;
  }

  get seconds(): number {
    return this.elapsedSeconds;
  }

  /** Handles what is there, waiting up to `blockMs` for some; how many events there were. */
  async turn(blockMs: number): Promise<number> {
    const entries = await this.runState.readTelemetry(this.cursor, blockMs);
    const refused: { id: string; why: ForgeError }[] = [];
    for (const entry of entries) {
      const { id, event } = entry;
      const why = event === null ? entry.fault : await this.refusalOf(event);
      if (why !== null) refused.push({ id, why });
      else if (event !== null) {
        const atMs = Number(id.split('-')[0]);
        this.startedAtMs ??= atMs;
        this.elapsedSeconds = (atMs - this.startedAtMs) / 1000;
        await this.record(event);
      }
      this.cursor = id;
    }
    await this.runState.rejections.drop('telemetry', refused);
    return entries.length;
  }

  /** Handles everything that is there already. */
  async catchUp(): Promise<void> {
    while ((await this.turn(1)) > 0);
  }

  /** Writes the row that is still open. */
  async close(): Promise<void> {
    await this.write(this.metrics.close());
  }

  /** Why an event is not of this run. How far that is is looked up when an event claims to be ahead. */
  private async refusalOf(event: TelemetryEvent): Promise<ForgeError | null> {
    if (implausible(event, this.position, this.services) === null) return null;
    const [version, admitted] = await Promise.all([this.runState.version(), this.runState.admittedCount()]);
    this.position = { version, admitted };
    return implausible(event, this.position, this.services);
  }

  private async record(event: TelemetryEvent): Promise<void> {
    switch (event.kind) {
      case 'step':
        this.metrics.rejected = await this.runState.rejections.totals();
        await this.write(this.metrics.addStep(event, this.elapsedSeconds));
        break;
      case 'service':
        this.metrics.addService(event);
        break;
      case 'evaluation': {
        const evaluation = this.evaluations.record(event);
        if (evaluation) this.metrics.addEvaluation(evaluation);
        break;
      }
      case 'rollout': {
        const { index, version, prompt, texts, rewards } = event;
        if (index <= this.samplesUpTo || this.isShown(index)) break;
        await this.mayWrite();
        await this.directory.addSample({ index, version, prompt, texts, rewards });
        break;
      }
      case 'waiting':
        break;
      case 'run':
        if (event.state === 'saved') this.isSaved = true;
    }
  }

  /** A rollout that is told twice is shown once. */
  private isShown(index: number): boolean {
    if (this.shown.has(index)) return true;
    this.shown.add(index);
    if (this.shown.size > REMEMBERED)
      for (const oldest of this.shown.values()) return !this.shown.delete(oldest);
    return false;
  }

  private async write(row: MetricsRow | null): Promise<void> {
    if (row === null) return;
    await this.mayWrite();
    await this.directory.addMetrics(row);
  }
}

function evaluationOf(row: MetricsRow): [number, number][] {
  const { 'eval/version': version, 'eval/accuracy': accuracy } = row;
  return version === undefined || accuracy === undefined ? [] : [[version, accuracy]];
}
