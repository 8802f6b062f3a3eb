import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleDirectory, bundleOf } from './bundle-of';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'forge-bundle-'))));
afterEach(() => rmSync(dir, { recursive: true }));

const BUILT_AT_MS = 1_700_000_000_000;

/** A file that is compiled so long before it is bundled, or after. */
function compiled(name: string, ageMs: number): string {
  const path = join(dir, name);
  writeFileSync(path, '');
  const at = (BUILT_AT_MS - ageMs) / 1000;
  utimesSync(path, at, at);
  return path;
}

function bundled(main: string, inputs: string[]): string {
  const directory = bundleDirectory(main);
  mkdirSync(directory);
  writeFileSync(join(directory, 'bundle.json'), JSON.stringify({ builtAtMs: BUILT_AT_MS, inputs }));
  return join(directory, 'start.js');
}

describe('bundleOf', () => {
  it('is the file itself where it is not bundled', () => {
    const main = compiled('main.js', 1000);
    expect(bundleOf(main)).toBe(main);
  });

  it('is the bundle of files that are older', () => {
    const main = compiled('main.js', 1000);
    compiled('other.js', 0);
    const bundle = bundled(main, ['../main.js', '../other.js']);
    expect(bundleOf(main)).toBe(bundle);
  });

  it.each([
    ['was compiled again since', () => compiled('other.js', -1000)],
    ['is gone', () => undefined],
  ])('is the file itself when one of those that it is made of %s', (_, change) => {
    const main = compiled('main.js', 1000);
    bundled(main, ['../main.js', '../other.js']);
    change();
    expect(bundleOf(main)).toBe(main);
  });
});
