import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ownerToken } from './owner-token';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'forge-token-'))));
afterEach(() => rmSync(dir, { recursive: true }));

describe('the token of the owner', () => {
  it('is the one that is given, and then in no file', async () => {
    expect(await ownerToken('given', join(dir, 'token'))).toBe('given');
    expect(readdirSync(dir)).toEqual([]);
  });

  it('is made once, for the user alone, however many gateways begin at once', async () => {
    const file = join(dir, 'token');
    const tokens = await Promise.all(Array.from({ length: 8 }, () => ownerToken(null, file)));
    expect(new Set(tokens).size).toBe(1);
    expect(tokens[0]).toMatch(/^[\w-]{43}$/);
    expect(await ownerToken(null, file)).toBe(tokens[0]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir)).toEqual(['token']);
  });
});
