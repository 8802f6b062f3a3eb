import { setTimeout as sleep } from 'node:timers/promises';
import { codeReward } from './code-reward';
import { CodeSandbox } from './code-sandbox';
import type { Program, Verdict } from './run-program';

const LIMITS = { maxSteps: 2_000_000, memoryMb: 16 };
const sandbox = new CodeSandbox({ timeMs: 2_000, parallel: 2 });
const run = (source: string, tests: readonly string[] = ['true'], limits: Partial<Program> = {}) =>
  sandbox.run({ source, tests, ...LIMITS, ...limits });

describe('CodeSandbox', () => {
  it('counts the expressions that are true', async () => {
    const source = 'const add = (a, b) => a + b; class Box { constructor(v) { this.v = v; } }';
    const tests = [
      'add(1, 2) === 3',
      'add(1, 2) === 4',
      'new Box(7).v === 7',
      'add(1, 2)',
      'missing(1) === 1',
      '"true"',
      ') syntax',
    ];
    expect(await run(source, tests)).toEqual({ passed: 2 });
  });

  it('waits for promises, and not for those that never settle', async () => {
    const source =
      'const later = async (v) => v; const never = new Promise(() => {}); const rejects = Promise.reject(1);';
    const tests = [
      'later(3).then((v) => v === 3)',
      '(async () => (await later(4)) === 4)()',
      'never',
      'rejects',
      'later("true")',
    ];
    expect(await run(source, tests)).toEqual({ passed: 2 });
  });

  it('says what a program throws, cut short, whatever that is', async () => {
    expect(await run('throw new RangeError("no " + "x".repeat(1e6))')).toEqual({
      passed: 0,
      error: expect.stringMatching(/^RangeError: no x{150,200}$/) as string,
    });
    expect(
      await run('throw { get name() { throw 1 }, message: { toString: () => "x".repeat(1e9) } }'),
    ).toMatchObject({ passed: 0 });
    expect(await run('throw null')).toMatchObject({ passed: 0 });
    expect(await run('let let = 1 +')).toMatchObject({ passed: 0, error: /SyntaxError/ });
  });

  it.each([
    ['an endless loop', 'for (;;) {}', /interrupted/],
    ['an endless loop that catches everything', 'for (;;) { try { for (;;) {} } catch {} }', /interrupted/],
    ['endless recursion', 'const f = () => f() + 1; f()', /stack|interrupted/i],
    [
      'deeply nested data',
      'let a = []; for (let i = 0; i < 1e5; i++) a = [a]; JSON.stringify(a)',
      /stack|memory|longer/i,
    ],
    ['deeply nested source', `${'('.repeat(100_000)}1${')'.repeat(100_000)}`, /stack|memory|longer/i],
    [
      'a bomb of arrays',
      'const a = []; for (;;) a.push("x".repeat(1e5) + a.length)',
      /out of memory|null|longer/i,
    ],
    ['a bomb of text', 'let s = "x"; for (;;) s += s', /out of memory|string too long|null/i],
    ['a huge buffer', 'new ArrayBuffer(2 ** 31)', /out of memory|invalid|null/i],
    ['a slow regular expression', '/^(a+)+$/.test("a".repeat(60) + "b")', /interrupted|longer/],
    ['slow work inside a built-in', 'new Array(1e8).fill(1)', /memory|longer|interrupted/],
    ['endless output', 'for (;;) console.log(1)', /interrupted/],
  ])('stops %s and serves the next one', async (_, source, error) => {
    expect(await run(source)).toEqual({ passed: 0, error: expect.stringMatching(error) as string });
    expect(await run('const x = 1', ['x === 1'])).toEqual({ passed: 1 });
  });

  it.each([
    ['a test', 'spin()', 'const spin = () => { for (;;) {} }'],
    ['a promise', 'Promise.resolve(lazy)', 'const lazy = { get then() { for (;;) {} } }'],
    ['an endless chain of promises', 'chain()', 'const chain = () => Promise.resolve().then(chain)'],
  ])('stops what runs on in %s and serves the next one', async (_, test, source) => {
    expect((await run(source, ['1 === 1', test])).passed).toBeLessThan(2);
    expect(await run('const x = 1', ['x === 1'])).toEqual({ passed: 1 });
  });

  it('stops promises that are not waited for', async () => {
    const source = 'let n = 0; const chain = () => { n++; return Promise.resolve().then(chain); }; chain();';
    await run(source);
    expect(await run('const x = 1', ['x === 1'])).toEqual({ passed: 1 });
  });

  it('takes the same steps every time', async () => {
    const source = 'let n = 0; const count = () => { for (;;) n++; };';
    const at = async (bound: number) => (await run(source, ['count()', `n > ${bound}`])).passed;
    const found = await Promise.all(
      [1_900_000, 2_100_000].flatMap((bound) => [at(bound), at(bound), at(bound)]),
    );
    expect(found).toEqual([1, 1, 1, 0, 0, 0]);
  });

  it('has nothing but the language', async () => {
    const names = [
      'process',
      'require',
      'module',
      'fetch',
      'XMLHttpRequest',
      'WebSocket',
      'setTimeout',
      'setInterval',
      'Deno',
      'Bun',
      'std',
      'os',
      'navigator',
      'WebAssembly',
      'Worker',
      '__dirname',
      'Buffer',
      'performance',
      'queueMicrotask',
    ];
    const present = names.map((name) => `typeof ${name} === 'undefined'`);
    expect(await run('', present)).toEqual({ passed: names.length });
    const source = `
      const reach = (text) => (0, eval)(text);
      const tries = ['process.exit(1)', 'require("fs")', 'import.meta', '(() => {}).constructor("return process")()', 'this.constructor.constructor("return process.env")()'];
      const reached = tries.filter((text) => { try { reach(text); return true; } catch { return false; } });
      let imported = 'pending';
      import('fs').then(() => (imported = 'yes'), () => (imported = 'no'));`;
    expect(await run(source, ['reached.length === 0', 'imported !== "yes"'])).toEqual({ passed: 2 });
  });

  it('does not let a program change what tests rely on', async () => {
    const tests = [
      'JSON.stringify(f([1])) === JSON.stringify([2])',
      '[1, 2].every((x) => x === f(x))',
      'Object.is(f(1), 2)',
      'new Set([f(1)]).has(2)',
      'f(1) === 2',
      '`${f(1)}` === "2"',
      'Array.from(f([1, 2])).join() === "2"',
      'Promise.resolve(f(1)).then((v) => v === 2)',
    ];
    const honest = 'const f = (x) => x;';
    const cheats = `
      JSON.stringify = () => ''; Object.is = () => true; Array.prototype.every = () => true; Set.prototype.has = () => true;
      Array.from = () => ({ join: () => '2' }); Promise.prototype.then = function () { return Promise.resolve(true); };
      Object.prototype.toString = Object.prototype.valueOf = () => 2; globalThis.eval = () => () => true;
      var JSON = { stringify: () => '' };`;
    // Values a test hands over lead to the built-ins of its own realm.
    const reaching = `
      const f = (x) => {
        try {
          const { constructor } = Object.getPrototypeOf(x);
          constructor.prototype.every = constructor.prototype.join = () => true;
          constructor.constructor('JSON.stringify = () => ""; Object.is = () => true; globalThis.$program = { f: () => 2 }; Set.prototype.has = () => true; var JSON = { stringify: () => "" }')();
        } catch {}
        return x;
      };`;
    const base = await run(honest, tests);
    expect(await run(`${cheats}\n${honest}`, tests)).toEqual(base);
    expect(await run(`${cheats}\n${reaching}`, tests)).toEqual(base);
    expect(base).toEqual({ passed: 1 });
  });

  it('starts every program in a fresh world', async () => {
    await run('globalThis.left = 1; Array.prototype.left = 1; Object.prototype.left = 1;');
    expect(await run('', ['typeof left === "undefined"', '[].left === undefined'])).toEqual({ passed: 2 });
    expect(await run('const r = Math.random()', ['r > 0 && r < 1'])).toEqual({ passed: 1 });
  });

  it('ends what time alone ends, without holding up others or this thread', async () => {
    const hasty = new CodeSandbox({ timeMs: 300, parallel: 2 });
    const limits = { maxSteps: 1e15, memoryMb: 64 };
    const go = (source: string): Promise<Verdict> => hasty.run({ source, tests: ['x === 1'], ...limits });
    await Promise.all([go('const x = 1'), go('const x = 1')]);
    let longestMs = 0;
    let last = performance.now();
    const beat = setInterval(() => {
      longestMs = Math.max(longestMs, performance.now() - last);
      last = performance.now();
    }, 10);
    const startedAt = performance.now();
    const slow = go('for (;;) {}').then((verdict) => ({ verdict, ms: performance.now() - startedAt }));
    const quick = await Promise.all(Array.from({ length: 20 }, () => go('const x = 1')));
    expect(quick).toEqual(quick.map(() => ({ passed: 1 })));
    const { verdict } = await slow;
    expect(verdict).toEqual({ passed: 0, error: 'it takes longer than 300 ms' });
    expect(await Promise.all([go('const x = 1'), go('const x = 1')])).toEqual([{ passed: 1 }, { passed: 1 }]);
    await sleep(0);
    clearInterval(beat);
    expect(longestMs).toBeLessThan(250);
  });
});

describe('codeReward', () => {
  const reward = codeReward({ timeMs: 5_000, parallel: 1, ...LIMITS });
  const score = (text: string, answer: string) =>
    reward.score({ id: 's', prompt: 'p', answer }, text, null as never);

  it('is the share of tests passed by the last code block, or by the text', async () => {
    const answer = 'double(2) === 4\n\ndouble(0) === 0\n';
    expect(await score('const double = (x) => 2 * x', answer)).toBe(1);
    expect(
      await score('First:\n```js\nwrong\n```\nthen\n```js\nconst double = (x) => x + 2;\n```\ndone', answer),
    ).toBe(0.5);
    expect(await score('```\nfunction double(x) { return 2 * x }', answer)).toBe(1);
    expect(await score('I would double it', answer)).toBe(0);
  });

  it('refuses a sample without tests', async () => {
    await expect(score('1', ' \n')).rejects.toMatchObject({
      code: 'CONFIG_DATASET_INVALID',
      message: /sample 's' has no tests/,
    });
  });
});
