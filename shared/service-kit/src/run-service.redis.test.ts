import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Registry, RunState, type Redis } from '@forge/broker';
import type { Replica } from '@forge/contracts';
import { childEnvironment, recipeSchema, type Recipe } from '@forge/config';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';

const script = join(__dirname, '../dist/service.fixture.js');
let server: TestRedis;
let redis: Redis;
let runs = 0;
const children: ChildProcess[] = [];
const states: RunState[] = [];

beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const state of states.splice(0)) state.close();
});
afterAll(() => server.stop());

async function createRun(runId: string, limits: Partial<Recipe['limits']> = {}): Promise<RunState> {
  const state = new RunState(redis, runId);
  states.push(state);
  const recipe = recipeSchema.parse({
    name: 'r',
    model: 'm',
    steps: 1,
    maxStaleness: Infinity,
    task: { kind: 'arithmetic' },
    algorithm: { name: 'grpo' },
    rewards: [{ name: 'exact' }],
    limits,
  });
  await state.create(recipe, { maxStaleness: Infinity, candidatesPerBatch: 1, steps: 1 });
  return state;
}

async function start(
  limits: Partial<Recipe['limits']> = {},
  environment: NodeJS.ProcessEnv = {},
): Promise<{
  child: ChildProcess;
  replica: Replica;
  state: RunState;
  registry: Registry;
}> {
  const runId = `kit-${(runs += 1)}`;
  const state = await createRun(runId, limits);
  const env = {
    ...childEnvironment({ redisUrl: server.url, runId, logLevel: 'silent' }),
    ...environment,
  };
  const child = fork(script, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  children.push(child);
  const registry = new Registry(redis, runId);
  const replica = await waitFor('registration', async () => (await registry.list('fixture'))[0]);
  return { child, replica, state, registry };
}

describe('runService', () => {
  it('serves health, readiness and metrics, and registers', async () => {
    const { child, replica, registry } = await start();
    expect(replica).toMatchObject({ service: 'fixture', replica: hostname(), pid: child.pid, isReady: true });
    expect(await registry.starts()).toEqual(new Map([[`fixture/${hostname()}`, 1]]));
    const get = async (path: string) => (await fetch(`${replica.url}${path}`)).json();
    expect(await get('/healthz')).toMatchObject({ status: 'ok', service: 'fixture' });
    expect(await get('/readyz')).toEqual({ ready: true });
    const metrics = await (await fetch(`${replica.url}/metrics`)).text();
    expect(metrics).toMatch(/^forge_activity_time_total\{activity="busy".*\} 0\.\d+$/m);
    expect(metrics).toMatch(/service_name="forge-fixture"/);
  });

  it('waits for Redis as long as it is told, and no longer', async () => {
    const environment = { redisUrl: 'redis://127.0.0.1:1', runId: 'kit', logLevel: 'silent' };
    const child = spawn(process.execPath, [script], {
      env: childEnvironment({ ...environment, redisWaitSeconds: 1 }),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    children.push(child);
    let said = '';
    child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()));
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(said).toMatch(/^fixture: TRANSIENT_REDIS_UNREACHABLE: Redis at \S+ did not answer within 1 s/m);
  });

  it('listens where only this machine reaches it, or where its environment says', async () => {
    expect((await start()).replica.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const open = await start({}, { FORGE_HTTP_HOST: '127.0.0.2' });
    expect(open.replica.url).toMatch(/^http:\/\/127\.0\.0\.2:\d+$/);
  });

  it('gets the recipe of its run, and reports what grew since its last report, and its resident memory', async () => {
    const { state } = await start();
    const { event } = await waitFor('report', async () => (await state.readTelemetry('0', 1000))[0]);
    expect(event).toMatchObject({
      kind: 'service',
      service: 'fixture',
      replica: hostname(),
      values: { busyMs: 5, steps: 1 },
    });
    const { values } = event as { values: Record<string, number> };
    expect(values.intervalMs).toBeGreaterThan(0);
    expect(values.residentBytes).toBeGreaterThan(1e6);
  });

  it('lives through SIGINT, drains on SIGTERM and then exits 0', async () => {
    const { child, registry } = await start();
    child.kill('SIGINT');
    child.kill('SIGTERM');
    expect(await once(child, 'message')).toEqual(['draining', undefined]);
    expect(await registry.list('fixture')).toEqual([]);
    child.send('finish');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('exits at once on a second SIGTERM', async () => {
    const { child } = await start();
    child.kill('SIGTERM');
    await once(child, 'message');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([1, null]);
  });

  it('drains when the process that started it is gone', async () => {
    const { child, registry } = await start();
    child.disconnect();
    await waitFor('removal', async () => (await registry.list('fixture')).length === 0);
    expect(child.exitCode).toBeNull();
  });

  it('ends when its event loop is blocked for as long as a call may take, not when it was stopped', async () => {
    const { child, replica } = await start({ callTimeoutMs: 500 });
    child.kill('SIGSTOP');
    await sleep(1_000);
    child.kill('SIGCONT');
    expect(await (await fetch(`${replica.url}/readyz`)).json()).toEqual({ ready: true });
    child.send('block');
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
    await expect(fetch(replica.url)).rejects.toThrow();
  });

  it('says which variable is missing, and exits 2', async () => {
    const child = fork(script, { env: { PATH: '' }, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    children.push(child);
    let text = '';
    child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    expect(await once(child, 'exit')).toEqual([2, null]);
    expect(text).toContain('CONFIG_INVALID: environment variable REDIS_URL');
  });
});

describe('a service that nobody supervises', () => {
  function startAlone(runId: string): ChildProcess {
    const env = {
      ...childEnvironment({ redisUrl: server.url, runId, logLevel: 'info' }),
      FORGE_HTTP_HOST: '0.0.0.0',
      FORGE_HTTP_PORT: '0',
      FORGE_HOST: '127.0.0.2',
    };
    const child = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    return child;
  }

  it('waits until its run is there, and tells others where they reach it', async () => {
    const runId = `kit-${(runs += 1)}`;
    const child = startAlone(runId);
    let log = '';
    child.stdout!.on('data', (chunk: Buffer) => (log += chunk.toString()));
    await waitFor('its message', () => Promise.resolve(log.includes(`waiting for run ${runId}`)));
    expect(child.exitCode).toBeNull();
    await createRun(runId);
    const registry = new Registry(redis, runId);
    const { url } = await waitFor('registration', async () => (await registry.list('fixture'))[0]);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.2:\d+$/);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it('ends while it waits when it is told to', async () => {
    const child = startAlone('none');
    await once(child.stdout!, 'data');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});
