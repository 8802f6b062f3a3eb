import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModule } from './load-module';

const dir = mkdtempSync(join(tmpdir(), 'forge-modules-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

function write(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

describe('loadModule', () => {
  it('loads TypeScript with types, relative imports and our packages, from anywhere', async () => {
    write('two.ts', 'export const two: number = 2;');
    const path = write(
      'mine.ts',
      `import { ForgeError } from '@forge/errors';
       import { two } from './two';
       interface Options { factor: number }
       export default ({ factor }: Options): number => two * factor + (ForgeError ? 1 : 0);`,
    );
    const factory = (await loadModule(path)) as (options: object) => number;
    expect(factory({ factor: 3 })).toBe(7);
  });

  it.each([
    ['mine.mjs', 'export default 5;'],
    ['mine.cjs', 'module.exports = 5;'],
    ['mine.js', 'exports.default = 5;'],
  ])('loads %s', async (name, text) => {
    expect(await loadModule(write(name, text))).toBe(5);
  });

  it.each([
    ['throws.ts', 'throw new Error("no key");', /does not load: no key/],
    ['syntax.ts', 'export default (', /syntax\.ts does not load: /],
    ['imports.ts', "import x from 'not-installed'; export default x;", /not-installed/],
    ['nothing.ts', 'export const reward = 1;', /has no default export/],
  ])('says why %s is of no use', async (name, text, message) => {
    await expect(loadModule(write(name, text))).rejects.toMatchObject({
      code: 'CONFIG_MODULE_UNLOADABLE',
      message,
    });
  });

  it('names a file that is missing', async () => {
    await expect(loadModule('./nowhere.ts')).rejects.toMatchObject({
      code: 'CONFIG_MODULE_UNLOADABLE',
      message: 'there is no module ./nowhere.ts',
    });
  });
});
