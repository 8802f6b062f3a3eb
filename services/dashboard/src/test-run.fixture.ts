import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunState, type Redis } from '@forge/broker';
import { recipeSchema, recipeToYaml } from '@forge/config';
import { createRunDirectory, type RunRecord } from '@forge/runs';
import { createLogger } from '@forge/telemetry';
import { start, type Dashboard, type DashboardOptions } from './service';

export const TOKEN = 'a token for tests';

export const recipe = recipeSchema.parse({
  name: 'test',
  model: 'models/none',
  steps: 50,
  maxStaleness: 1,
  task: { kind: 'arithmetic' },
  algorithm: { name: 'grpo', groupSize: 2 },
  rewards: [{ name: 'exact' }],
});

/** A line of metrics.jsonl. */
export const row = (step: number, more: Record<string, number> = {}) => ({
  ...{ step, 'reward/mean': step / 10, 'time/step_ms': 500 },
  ...{ 'busy/trainer': 0.4, 'idle/trainer': 0, 'waits/trainer/batch': 0.6 },
  ...{ 'busy/policy': 0.97, 'idle/policy': 0.03, ...more },
});
/** A line of samples.jsonl. */
export const sample = { index: 3, version: 1, prompt: '1+1=', texts: ['2', '3'], rewards: [1, 0] };
/** A line of controls.jsonl. */
export const control = {
  seconds: 2,
  version: 1,
  operation: 'set',
  name: 'maxStaleness',
  from: '1',
  to: '4',
  id: 'c',
};

/** A dashboard over a directory of its own. */
export class DashboardUnderTest {
  readonly dir = mkdtempSync(join(tmpdir(), 'forge-dashboard-'));
  private readonly dashboards: Dashboard[] = [];
  private readonly states: RunState[] = [];

  async start(options: Partial<DashboardOptions> = {}): Promise<Dashboard> {
    const dashboard = await start({
      runsDir: this.dir,
      host: '127.0.0.1',
      port: 0,
      token: TOKEN,
      logger: createLogger({ service: 'dashboard', level: 'silent' }),
      ...options,
    });
    this.dashboards.push(dashboard);
    return dashboard;
  }

  /** A run whose supervisor is this process, with its state in a Redis. */
  async run(id: string, redisUrl: string, redis: Redis, changes: Partial<RunRecord> = {}): Promise<RunState> {
    const state = new RunState(redis, id);
    this.states.push(state);
    await state.create(recipe, { maxStaleness: 1, candidatesPerBatch: 4, steps: 50 });
    await state.controls.supervise({ trainer: 1, policy: 2, reward: 1 });
    this.directory(id, { redisUrl, ...changes });
    return state;
  }

  directory(id: string, changes: Partial<RunRecord> = {}): string {
    const record: RunRecord = {
      ...{
        id,
        recipe: 'test',
        seed: 1,
        steps: 50,
        startedAt: '2026-11-23T10:20:30.456Z',
        pid: process.pid,
        pidMark: null,
      },
      ...{ redisUrl: '', redisPasswordFile: null, redisDir: null, keepStateHours: 72, state: 'running' },
      ...changes,
    };
    return createRunDirectory(this.dir, record, recipeToYaml(recipe));
  }

  write(id: string, file: string, ...lines: object[]): void {
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    appendFileSync(join(this.dir, id, file), text);
  }

  replace(id: string, file: string, value: object): void {
    writeFileSync(join(this.dir, id, file), JSON.stringify(value));
  }

  async stop(): Promise<void> {
    for (const state of this.states) state.close();
    await Promise.all(this.dashboards.map((dashboard) => dashboard.close()));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** The answer, as data. */
export async function get<T>(dashboard: Dashboard, path: string): Promise<T> {
  const response = await fetch(`${dashboard.url}/api${path}`);
  return (await response.json()) as T;
}

export function post(dashboard: Dashboard, path: string, body?: unknown, token = TOKEN): Promise<Response> {
  return fetch(`${dashboard.url}/api${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

export interface Told {
  event: string;
  id: string | undefined;
  data: unknown;
}

/** The data of the events of a name. */
export const dataOf = <T>(told: readonly Told[], event: string): T[] =>
  told.filter((one) => one.event === event).map(({ data }) => data as T);

/** The events of a run as they come, until the returned function is called. */
export async function listen(
  dashboard: Dashboard,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ told: Told[]; isEnded: () => boolean; stop: () => void }> {
  const stopping = new AbortController();
  const response = await fetch(`${dashboard.url}/api${path}`, { headers, signal: stopping.signal });
  const told: Told[] = [];
  let isEnded = false;
  const follow = async (): Promise<void> => {
    let text = '';
    for await (const piece of response.body!) {
      text += Buffer.from(piece as Uint8Array).toString();
      const blocks = text.split('\n\n');
      text = blocks.pop()!;
      for (const block of blocks) {
        const field = (name: string): string | undefined =>
          new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
        const event = field('event');
        if (event !== undefined)
          told.push({ event, id: field('id'), data: JSON.parse(field('data')!) as unknown });
      }
    }
  };
  follow()
    .catch(() => undefined)
    .finally(() => (isEnded = true));
  return { told, isEnded: () => isEnded, stop: () => stopping.abort() };
}
