import type { RunState } from '@forge/broker';
import type { TelemetryEvent } from '@forge/contracts';
import type { EvaluationSchedule } from '../domain/evaluation-schedule';
import { RunMetrics, type MetricsRow } from '../domain/run-metrics';
import type { RunDirectory } from '../run-directory';

/** Follows the telemetry of the run and writes down what people will read. */
export class TelemetryRecorder {
  private cursor = '0';
  private startedAtMs: number | null = null;
  private elapsedSeconds = 0;
  private isSaved = false;

  private constructor(
    private readonly runState: Pick<RunState, 'readTelemetry'>,
    private readonly directory: RunDirectory,
    private readonly evaluations: EvaluationSchedule,
    private readonly metrics: RunMetrics,
    private samplesUpTo: number,
    /** Throws when another coordinator writes the files now. */
    private readonly mayWrite: () => Promise<void>,
  ) {}

  /** A recorder that goes on behind what an earlier coordinator of the run has written. */
  static async open(
    runState: Pick<RunState, 'readTelemetry'>,
    directory: RunDirectory,
    evaluations: EvaluationSchedule,
    mayWrite: () => Promise<void>,
  ): Promise<TelemetryRecorder> {
    const rows = await directory.metrics();
    const restored = new Map(rows.flatMap(evaluationOf));
    for (const [version, accuracy] of restored) evaluations.restore({ version, accuracy });
    const metrics = new RunMetrics(rows.at(-1)?.step ?? 0, evaluations.results.at(-1) ?? null);
    const samplesUpTo = (await directory.samples()).reduce((last, { index }) => Math.max(last, index), -1);
    const recorder = new TelemetryRecorder(runState, directory, evaluations, metrics, samplesUpTo, mayWrite);
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
    for (const { id, event } of entries) {
      const atMs = Number(id.split('-')[0]);
      this.startedAtMs ??= atMs;
      this.elapsedSeconds = (atMs - this.startedAtMs) / 1000;
      await this.record(event);
      this.cursor = id;
    }
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

  private async record(event: TelemetryEvent): Promise<void> {
    switch (event.kind) {
      case 'step':
        // A trainer that was told to end in the middle of the run has saved a model, too.
        this.isSaved = false;
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
        if (index <= this.samplesUpTo) break;
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
