import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
