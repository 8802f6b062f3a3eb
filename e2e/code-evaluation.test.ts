import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Packr } from 'msgpackr';

const root = join(__dirname, '..');

/** Ways to make code, or objects with a life of their own, of text or bytes; and who may. */
const WAYS: [what: string, pattern: RegExp, allowed: string[]][] = [
  ['eval', /(?<![.\w$])eval\s*\(/, []],
  ['a function of text', /new Function\b|\bFunction\s*\(['"`]|\.constructor\s*\(\s*['"`]/, []],
  ['a timer of text', /\bset(Timeout|Interval|Immediate)\s*\(\s*['"`]/, []],
  // Scripts that are constants: only there a search that does not end has a deadline, and the heap's collector is to be had.
  [
    'node:vm',
    /['"](node:)?vm['"]/,
    ['shared/rl/src/regular-expression.ts', 'shared/rl-actors/src/policy/collect-garbage.ts'],
  ],
  // Flags of the heap are set there, nothing else.
  [
    'objects of V8',
    /['"](node:)?v8['"]|\bdeserialize\s*\(/,
    ['shared/rl-actors/src/policy/collect-garbage.ts', 'shared/service-kit/src/run-service.ts'],
  ],
  ['the build of msgpackr that makes functions', /['"]msgpackr['"]/, []],
  // The file loaded is one that the recipe or the program of the user names.
  [
    'a module by a computed name',
    /(?<![.\w])import\(\s*[^'"`\s)]|\brequire\(\s*[^'"`\s)]/,
    ['services/cli/bin/forge.cjs', 'shared/actors/src/runtime/actor-module.ts'],
  ],
  ['jiti', /['"]jiti['"]/, ['shared/config/src/load-module.ts']],
  ['interpreters', /['"]quickjs-/, ['shared/recipe-parts/src/sandbox/run-program.ts']],
];

const sources = execFileSync(
  'git',
  ['ls-files', '--cached', '--others', '--exclude-standard', 'shared', 'services'],
  { cwd: root, encoding: 'utf8' },
)
  .split('\n')
  .filter((file) => /\.([cm]?[jt]s)$/.test(file) && !/\.(test|fixture|bench)\.ts$/.test(file))
  .filter((file) => existsSync(join(root, file)));

describe('the sources', () => {
  it.each(WAYS)('make nothing by %s', (_, pattern, allowed) => {
    expect(sources.length).toBeGreaterThan(200);
    const found = sources.filter((file) => pattern.test(readFileSync(join(root, file), 'utf8')));
    expect(found.sort()).toEqual([...allowed].sort());
  });
});

describe('a message', () => {
  it('makes no code, whatever names are in it', () => {
    // msgpackr's records name the fields of objects once; its default build makes a function of these names.
    const rows = Array.from({ length: 100 }, (_, i) => ({ [`]:process.exit(7),["`]: i, plain: i }));
    const bytes = new Packr({ useRecords: true }).pack(rows).toString('base64');
    const script = `
      let made = 0;
      globalThis.Function = new Proxy(Function, { construct: (target, args) => (made++, Reflect.construct(target, args)), apply: (target, self, args) => (made++, Reflect.apply(target, self, args)) });
      const { decode } = require(${JSON.stringify(join(root, 'shared/contracts/dist'))});
      const any = { safeParse: (data) => ({ success: true, data }) };
      made = 0;
      for (let i = 0; i < 100; i++) {
        try {
          decode(any, Buffer.from(${JSON.stringify(bytes)}, 'base64'), 'test');
        } catch (error) {
          if (error.code !== 'CONTRACT_INVALID_MESSAGE') throw error;
        }
      }
      console.log(made);`;
    const { stdout, status } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    expect([status, stdout]).toEqual([0, '0\n']);
  });
});
