import { readFile, writeFile } from 'node:fs/promises';
import { ForgeError } from '@forge/errors';
import type { EndState, MetricSink, SinkRow } from './metric-sink';

export interface MlflowSinkOptions {
  /** Address of the tracking server. */
  uri: string;
  authorization: string | undefined;
  experiment: string;
  /** Name of the run there. */
  runId: string;
  /** Parameters of the run, by name. */
  parameters: Readonly<Record<string, string>>;
  /** File that keeps which run it is there, for the next coordinator. */
  idFile: string;
  clock?: () => number;
}

/** Most entries of one request. */
const METRICS_AT_ONCE = 1_000;
const PARAMETERS_AT_ONCE = 100;
/** Servers before 2.0 take no longer ones. */
const MAX_PARAMETER_LENGTH = 250;
const REQUEST_MS = 10_000;
const STATUS: Record<EndState, string> = { finished: 'FINISHED', failed: 'FAILED', interrupted: 'KILLED' };

/**
 * A run of an MLflow tracking server, by its REST API.
 *
 * @see https://mlflow.org/docs/latest/api_reference/rest-api.html
 */
export class MlflowSink implements MetricSink {
  readonly name = 'mlflow';
  private run: Promise<string> | null = null;
  private readonly clock: () => number;

  constructor(private readonly options: MlflowSinkOptions) {
    this.clock = options.clock ?? Date.now;
  }

  async write(rows: readonly SinkRow[]): Promise<void> {
    const run_id = await this.runId();
    const metrics = rows.flatMap(({ step, atMs, values }) =>
      Object.entries(values).map(([key, value]) => ({
        key: nameOf(key),
        value,
        timestamp: Math.round(atMs),
        step,
      })),
    );
    for (const some of inParts(metrics, METRICS_AT_ONCE))
      await this.post('runs/log-batch', { run_id, metrics: some });
  }

  async close(state: EndState): Promise<void> {
    const run_id = await this.runId();
    await this.post('runs/update', { run_id, status: STATUS[state], end_time: this.clock() });
  }

  /** The id that an earlier coordinator of the same run was given, or a new one; asked for again where that fails. */
  private runId(): Promise<string> {
    this.run ??= this.open().catch((error: unknown) => {
      this.run = null;
      throw error;
    });
    return this.run;
  }

  private async open(): Promise<string> {
    const { idFile, runId, parameters } = this.options;
    const known = await readFile(idFile, 'utf8').catch(() => '');
    if (known !== '') {
      await this.post('runs/update', { run_id: known.trim(), status: 'RUNNING' });
      return known.trim();
    }
    const { run } = (await this.post('runs/create', {
      experiment_id: await this.experimentId(),
      run_name: runId,
      start_time: this.clock(),
      tags: [{ key: 'mlflow.source.name', value: 'forge' }],
    })) as { run: { info: { run_id: string } } };
    const { run_id } = run.info;
    await writeFile(idFile, `${run_id}\n`);
    const params = Object.entries(parameters).map(([key, value]) => ({
      key: nameOf(key),
      value: value.slice(0, MAX_PARAMETER_LENGTH),
    }));
    for (const some of inParts(params, PARAMETERS_AT_ONCE))
      await this.post('runs/log-batch', { run_id, params: some });
    return run_id;
  }

  private async experimentId(): Promise<string> {
    const { experiment: name } = this.options;
    const found = await this.request(
      'GET',
      `experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`,
    );
    if (found.status !== 404)
      return (accepted(found) as { experiment: { experiment_id: string } }).experiment.experiment_id;
    return ((await this.post('experiments/create', { name })) as { experiment_id: string }).experiment_id;
  }

  private async post(path: string, body: unknown): Promise<unknown> {
    return accepted(await this.request('POST', path, body));
  }

  private async request(method: string, path: string, body?: unknown): Promise<Answer> {
    const { uri, authorization } = this.options;
    const url = `${uri.replace(/\/+$/, '')}/api/2.0/mlflow/${path}`;
    const response = await fetch(url, {
      method,
      headers: { 'content-type': 'application/json', ...(authorization !== undefined && { authorization }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(REQUEST_MS),
    });
    return { url, status: response.status, text: await response.text() };
  }
}

interface Answer {
  url: string;
  status: number;
  text: string;
}

function accepted({ url, status, text }: Answer): unknown {
  if (status >= 200 && status < 300) return text === '' ? {} : JSON.parse(text);
  const message = `${url} answered ${status}: ${text.slice(0, 200)}`;
  throw new ForgeError('TRANSIENT_SERVICE_UNAVAILABLE', message, { url, status });
}

/** MLflow takes letters, digits, and `_-./ ` only. */
function nameOf(key: string): string {
  return key.replaceAll(/[^\w\-./ ]/g, '_').slice(0, 250);
}

function inParts<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < items.length; at += size) parts.push(items.slice(at, at + size));
  return parts;
}
