import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..');
const page = readFileSync(join(root, 'docs/actors.md'), 'utf8');

describe('docs/actors.md', () => {
  it('prints what its comments say', () => {
    const [definitions, ...snippets] = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
    const expected = snippets.flatMap((code) =>
      [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].flatMap(([, printed]) => printed!.split(' | ')),
    );
    expect(expected.length).toBeGreaterThan(10);
    const dir = join(root, '.forge');
    mkdirSync(dir, { recursive: true });
    const file = join(dir, `actors-page-${process.pid}.ts`);
    writeFileSync(file, `${definitions}\nrunMain(async () => {\n${snippets.join('')}\n});\n`);
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--import', 'tsx', file], {
      cwd: root,
      encoding: 'utf8',
    });
    rmSync(file);
    expect({ status, stderr, lines: stdout.trim().split('\n') }).toEqual({
      status: 0,
      stderr: '',
      lines: expected,
    });
  });
});
