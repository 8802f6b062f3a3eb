import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from './issues';
import { rewardSchema } from './reward';
import { namedSecret } from './secret-file';

const judge = (parts: object) =>
  parseConfig(
    rewardSchema,
    { name: 'judge', url: 'http://127.0.0.1:8000/v1', model: 'm', ...parts },
    'a recipe',
  );

describe('the reward judge', () => {
  it('has bounds for everything', () => {
    expect(judge({})).toEqual({
      ...{ name: 'judge', weight: 1, url: 'http://127.0.0.1:8000/v1', model: 'm', minScore: 0, maxScore: 10 },
      ...{ maxTokens: 1024, timeoutMs: 20_000, attempts: 4, requestsPerMinute: 600, parallel: 32 },
      cacheEntries: 10_000,
    });
  });

  it.each<[object, string]>([
    [{ url: 'file:///etc/passwd' }, 'url: found "file:///etc/passwd"'],
    [{ url: 'https://user:word@host/v1' }, 'expected an address without user, password, query and fragment'],
    [{ url: 'https://host/v1?key=1' }, 'expected an address without user, password, query and fragment'],
    [{ apiKeyEnv: 'REDIS_URL' }, 'expected a text that matches /^[A-Z][A-Z0-9_]*_KEY$/'],
    [{ apiKeyEnv: 'sk-123' }, 'expected a text that matches /^[A-Z][A-Z0-9_]*_KEY$/'],
    [{ prompt: 'how good is it?' }, 'expected a text with {completion} in it'],
    [{ minScore: 10 }, 'minScore: found 10, expected a number < maxScore, which is 10'],
  ])('refuses %j', (parts, message) => {
    expect(() => judge(parts)).toThrow(message);
  });
});

describe('namedSecret', () => {
  const dir = mkdtempSync(join(tmpdir(), 'forge-secret-'));
  afterEach(() => {
    delete process.env.JUDGE_TEST_KEY;
    delete process.env.JUDGE_TEST_KEY_FILE;
  });
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });

  it('comes from the variable or the file it names', () => {
    process.env.JUDGE_TEST_KEY = 'one';
    expect(namedSecret('JUDGE_TEST_KEY', 'apiKeyEnv')).toBe('one');
    delete process.env.JUDGE_TEST_KEY;
    process.env.JUDGE_TEST_KEY_FILE = join(dir, 'key');
    writeFileSync(join(dir, 'key'), 'two\n');
    expect(namedSecret('JUDGE_TEST_KEY', 'apiKeyEnv')).toBe('two');
  });

  it('is missed by the name of both', () => {
    expect(() => namedSecret('JUDGE_TEST_KEY', 'apiKeyEnv')).toThrow(
      'environment variable JUDGE_TEST_KEY: not set, but apiKeyEnv names it; set it, or JUDGE_TEST_KEY_FILE',
    );
  });
});
