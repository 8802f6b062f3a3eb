import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry, RunState } from '@forge/broker';
import { runPaths } from '@forge/contracts';
import { createRunDirectory } from '@forge/runs';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { status } from './status';

// An ES module, which draws on terminals.
jest.mock('log-update', () => ({ createLogUpdate: () => () => undefined }));

const before = { ...process.env };
const dir = mkdtempSync(join(tmpdir(), 'forge-status-'));
let server: TestRedis;
let said = '';

beforeAll(async () => {
  server = await startTestRedis();
  process.env['REDIS_URL'] = server.url;
});
beforeEach(() => {
  said = '';
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
});
afterEach(() => jest.restoreAllMocks());
afterAll(async () => {
  process.env = { ...before };
  rmSync(dir, { recursive: true });
  await server.stop();
});

describe('forge status', () => {
  it('shows the addresses of all gateways that agents may call', async () => {
    const redis = await server.connect();
    const runState = new RunState(redis, 'called');
    await runState.create({}, { maxStaleness: 0, candidatesPerBatch: 1, steps: 2 });
    const registry = new Registry(redis, 'called');
    for (const name of ['0', '1']) {
      const gateway = { service: 'gateway', replica: name, url: 'http://127.0.0.1:1', pid: 1, isReady: true };
      await registry.heartbeat({ ...gateway, answers: null, callsMade: [] });
      await registry.serves('gateway', name, `http://127.0.0.1:800${name}`);
    }
    const record = {
      ...{ id: 'called', recipe: 'small', seed: 1, steps: 2, startedAt: '2026-01-01T00:00:00.000Z' },
      ...{ pid: null, pidMark: null, redisDir: null, keepStateHours: 72 },
      ...{ redisUrl: server.url, redisPasswordFile: null, state: 'running' as const },
    };
    const path = createRunDirectory(dir, record, '');
    writeFileSync(runPaths(path).gatewayToken, 'secret');
    expect(await status('called', { dir })).toBe(0);
    expect(said).toContain(
      `  agents    call http://127.0.0.1:8000/v1, http://127.0.0.1:8001/v1; the token that hands out sessions is in ${runPaths(path).gatewayToken}\n`,
    );
    runState.close();
    rmSync(path, { recursive: true });
  });

  it('says of a run whose keys have expired that its state is gone, not that it failed', async () => {
    const record = {
      ...{ id: 'old', recipe: 'small', seed: 1, steps: 2, startedAt: '2026-01-01T00:00:00.000Z' },
      ...{ pid: null, pidMark: null, redisDir: null, keepStateHours: 72 },
      ...{ redisUrl: server.url, redisPasswordFile: null, state: 'running' as const },
    };
    createRunDirectory(dir, record, '');
    expect(await status(undefined, { dir })).toBe(0);
    expect(said).toMatch(/^old  small  no run old in this Redis: .* its state has expired .*\n$/);
    said = '';
    expect(await status('old', { dir, json: true })).toBe(0);
    expect(JSON.parse(said)).toMatchObject([
      { id: 'old', state: 'running', live: null, problem: expect.stringContaining('expired') as string },
    ]);
  });
});
