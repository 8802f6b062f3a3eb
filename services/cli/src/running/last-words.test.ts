import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lastWords } from './last-words';

const dir = mkdtempSync(join(tmpdir(), 'forge-words-'));
const file = join(dir, 'policy-0.log');
afterAll(() => rmSync(dir, { recursive: true }));

function wordsOf(log: string, from = 0): string | null {
  writeFileSync(file, log);
  return lastWords(file, from, 'policy');
}

describe('lastWords', () => {
  it.each([
    ['policy: CONFIG_INVALID: no such field\n', 'CONFIG_INVALID: no such field'],
    [
      '{"msg":"ready"}\npolicy: CONFIG_INVALID: two:\n  a: x\n  b: y\n',
      'CONFIG_INVALID: two:\n  a: x\n  b: y',
    ],
    ['policy: the first\npolicy: the second\n', 'the second'],
    ['a log\nSegmentation fault\n\n', 'Segmentation fault'],
    ['reward says policy: no\nlast', 'last'],
    ['', null],
  ])('of %j are %j', (log, words) => {
    expect(wordsOf(log)).toBe(words);
  });

  it('are none of a process before it', () => {
    const before = 'policy: TRANSIENT_TIMEOUT: of a process before\n';
    expect([wordsOf(`${before}exit(2)\n`, before.length), wordsOf(before, before.length)]).toEqual([
      'exit(2)',
      null,
    ]);
  });

  it('are found at the end of a long log', () => {
    expect(wordsOf(`${'{"msg":"tick"}\n'.repeat(100_000)}policy: over\n`)).toBe('over');
  });
});
