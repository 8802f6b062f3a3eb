import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { runPaths } from './run-paths';

describe('docs/run-directory.md', () => {
  it('lists exactly the files and directories there are', () => {
    const docs = readFileSync(join(__dirname, '../../../docs/run-directory.md'), 'utf8');
    const documented = [...docs.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name!);
    const names = Object.values(runPaths('/runs/r') as unknown as Record<string, string>).map((path) =>
      relative('/runs/r', path),
    );
    expect(documented.sort()).toEqual(names.sort());
  });
});
