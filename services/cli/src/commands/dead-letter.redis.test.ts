import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunState } from '@forge/broker';
import { createRunDirectory } from '@forge/runs';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { listDeadLetters, showDeadLetter } from './dead-letter';

const STACK = `file:///agents/shop.mjs:3
    at buy (file:///agents/shop.mjs:3:7)

Error: no such fruit
    at buy (file:///agents/shop.mjs:3:7)
    at main (file:///agents/shop.mjs:9:1)`;

const before = { ...process.env };
const dir = mkdtempSync(join(tmpdir(), 'forge-letters-'));
let server: TestRedis;
let said = '';

beforeAll(async () => {
  server = await startTestRedis();
  process.env['REDIS_URL'] = server.url;
  const runState = new RunState(await server.connect(), 'failing');
  await runState.create({}, { maxStaleness: 0, candidatesPerBatch: 1, steps: 2 });
  createRunDirectory(
    dir,
    {
      ...{ id: 'failing', recipe: 'small', seed: 1, steps: 2, startedAt: '2026-01-01T00:00:00.000Z' },
      ...{ pid: null, pidMark: null, redisDir: null, keepStateHours: 72 },
      ...{ redisUrl: server.url, redisPasswordFile: null, state: 'running' as const },
    },
    '',
  );
  const failure = { code: 'TRANSIENT_ENVIRONMENT_FAILED', attempts: 3, payload: '{}' };
  const message = `agent node shop.mjs failed for sample s1: it ended with status 1: ${STACK}`;
  await runState.deadLetters.keep('e-s1', 'evaluation', { ...failure, message });
  await runState.deadLetters.keep('e-s2', 'evaluation', { ...failure, message: 'x'.repeat(1_000) });
  runState.close();
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

describe('forge dead-letter', () => {
  it('lists a letter in a line, with what failed and without the stack', async () => {
    expect(await listDeadLetters('failing', { dir })).toBe(0);
    const [first, second, ...rest] = said.trimEnd().split('\n');
    expect(first).toMatch(
      /^e-s1 .* tried 3 times: agent node shop.mjs failed .* status 1: file:\/\/\/agents\/shop.mjs:3 Error: no such fruit \[TRANSIENT_ENVIRONMENT_FAILED\]$/,
    );
    expect(second).toMatch(/: x{400}… \[TRANSIENT_ENVIRONMENT_FAILED\]$/);
    expect(rest).toEqual(['2 dead letters']);
  });

  it('shows one with all that is known, also as JSON', async () => {
    expect(await showDeadLetter('failing', 'e-s1', { dir })).toBe(0);
    expect(said).toContain(STACK);
    said = '';
    expect(await showDeadLetter('failing', 'e-s1', { dir, json: true })).toBe(0);
    expect((JSON.parse(said) as { message: string }).message).toContain(STACK);
  });
});
