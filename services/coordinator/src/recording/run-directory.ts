import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TelemetryEvent } from '@forge/contracts';
import type { RunSummary, SampleRollout } from './report';
import type { MetricsRow } from './run-metrics';

const METRICS = 'metrics.jsonl';
const SAMPLES = 'samples.jsonl';
const CONTROLS = 'controls.jsonl';
const SUMMARY = 'summary.json';

/** A change to the running run; one line of `controls.jsonl`. */
export type ControlRecord = Omit<Extract<TelemetryEvent, { kind: 'control' }>, 'kind'> & {
  /** Since the start of the run. */
  seconds: number;
};

/** The files of a run that people read: metrics and samples as they come, report and summary at its end. */
export class RunDirectory {
  private constructor(private readonly dir: string) {}

  static async open(dir: string): Promise<RunDirectory> {
    await mkdir(dir, { recursive: true });
    return new RunDirectory(dir);
  }

  async addMetrics(row: MetricsRow): Promise<void> {
    await this.append(METRICS, row);
  }

  async addSample(sample: SampleRollout): Promise<void> {
    await this.append(SAMPLES, sample);
  }

  async addControl(change: ControlRecord): Promise<void> {
    await this.append(CONTROLS, change);
  }

  async controls(): Promise<ControlRecord[]> {
    return (await this.read(CONTROLS)) as ControlRecord[];
  }

  async metrics(): Promise<MetricsRow[]> {
    return (await this.read(METRICS)) as MetricsRow[];
  }

  async samples(): Promise<SampleRollout[]> {
    return (await this.read(SAMPLES)) as SampleRollout[];
  }

  /** What an earlier coordinator wrote at its end; null where none did. */
  async summary(): Promise<RunSummary | null> {
    const text = await this.text(SUMMARY);
    return text === '' ? null : (JSON.parse(text) as RunSummary);
  }

  async writeSummary(summary: RunSummary, reportHtml: string): Promise<void> {
    await this.replace('report.html', reportHtml);
    await this.replace(SUMMARY, `${JSON.stringify(summary, null, 2)}\n`);
  }

  private async append(name: string, value: unknown): Promise<void> {
    await appendFile(join(this.dir, name), `${JSON.stringify(value)}\n`);
  }

  /** The lines of a file, none when there is no file. */
  private async read(name: string): Promise<unknown[]> {
    const text = await this.text(name);
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as unknown);
  }

  /** What is in a file, nothing when there is no file. */
  private text(name: string): Promise<string> {
    return readFile(join(this.dir, name), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
  }

  private async replace(name: string, text: string): Promise<void> {
    const path = join(this.dir, name);
    await writeFile(`${path}.tmp`, text);
    await rename(`${path}.tmp`, path);
  }
}
