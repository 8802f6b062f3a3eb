import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { runPaths, type RunPaths, type TelemetryEvent } from '@forge/contracts';
import { absentAs, replaceFile } from '@forge/files';
import type { RunSummary, SampleRollout } from './report';
import type { MetricsRow } from './run-metrics';

/** A change to the running run; one line of `controls.jsonl`. */
export type ControlRecord = Omit<Extract<TelemetryEvent, { kind: 'control' }>, 'kind'> & {
  /** Time since the start of the run. */
  seconds: number;
};

/** The files of a run that people read: metrics and samples as they come, report and summary at its end. */
export class RunDirectory {
  private constructor(private readonly paths: RunPaths) {}

  static async open(dir: string): Promise<RunDirectory> {
    await mkdir(dir, { recursive: true });
    return new RunDirectory(runPaths(dir));
  }

  async addMetrics(row: MetricsRow): Promise<void> {
    await this.append(this.paths.metrics, row);
  }

  /** Replaces values of the newest row. */
  async completeMetrics(values: Readonly<Record<string, number>>): Promise<void> {
    const lines = (await this.text(this.paths.metrics)).split('\n').slice(0, -1);
    const row = JSON.parse(lines.pop() ?? '{}') as MetricsRow;
    const completed = [...lines, JSON.stringify({ ...row, ...values })];
    await replaceFile(this.paths.metrics, completed.map((line) => `${line}\n`).join(''));
  }

  async addSample(sample: SampleRollout): Promise<void> {
    await this.append(this.paths.samples, sample);
  }

  async addControl(change: ControlRecord): Promise<void> {
    await this.append(this.paths.controls, change);
  }

  async controls(): Promise<ControlRecord[]> {
    return (await this.read(this.paths.controls)) as ControlRecord[];
  }

  async metrics(): Promise<MetricsRow[]> {
    return (await this.read(this.paths.metrics)) as MetricsRow[];
  }

  async samples(): Promise<SampleRollout[]> {
    return (await this.read(this.paths.samples)) as SampleRollout[];
  }

  /** The summary that an earlier coordinator wrote at its end; null where it is missing. */
  async summary(): Promise<RunSummary | null> {
    const text = await this.text(this.paths.summary);
    return text === '' ? null : (JSON.parse(text) as RunSummary);
  }

  async writeSummary(summary: RunSummary, reportHtml: string): Promise<void> {
    await replaceFile(this.paths.report, reportHtml);
    await replaceFile(this.paths.summary, `${JSON.stringify(summary, null, 2)}\n`);
  }

  private async append(path: string, value: unknown): Promise<void> {
    await appendFile(path, `${JSON.stringify(value)}\n`);
  }

  /** The lines of a file, none when there is no file. */
  private async read(path: string): Promise<unknown[]> {
    const text = await this.text(path);
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as unknown);
  }

  /** The content of a file, empty when there is no file. */
  private text(path: string): Promise<string> {
    return absentAs('', () => readFile(path, 'utf8'));
  }
}
