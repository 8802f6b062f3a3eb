import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rolloutSchema } from '@forge/config';
import { grpo, type Rollout } from '@forge/rl';
import { isRunning, waitFor } from '@forge/testing';
import { loadRollout } from '../load-rollout';
import { hasNamespaces } from '../processes/namespaces.fixture';
import { call, playRollout, type PlayOptions, type Said } from '../scripted.fixture';

const dir = mkdtempSync(join(tmpdir(), 'forge-sandboxed-'));
afterAll(() => rmSync(dir, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(
    path,
    `import { defineEnvironment, defineTools } from '@forge/rl'; import { z } from 'zod';\n${text}`,
  );
  return path;
}

const load = async (rollout: object): Promise<Rollout> =>
  (await loadRollout({ rollout: rolloutSchema.parse({ sandbox: true, ...rollout }) }, grpo()))!;
const play = (
  rollout: Rollout,
  script: (turn: number, k: number, last: string) => Said | Promise<Said>,
  options: Partial<PlayOptions> = {},
) => playRollout(rollout, script, { sample: { id: 's1', prompt: 'Go.', answer: '42' }, ...options });
const contents = ({ messages }: { messages: { content: string }[] }) =>
  messages.map(({ content }) => content);

/** Tools that do all that tools may do. */
const tools = write(
  'tools.ts',
  `export default ({ factor = 2 }) => defineTools({
     times: {
       description: 'Multiplies.',
       parameters: z.object({ a: z.int().max(9).describe('a digit'), b: z.int().default(10) }),
       run: ({ a, b }) => ({ product: factor * a * b }),
     },
     draw: { description: 'Draws.', parameters: z.object({}), run: (_, { random, sample }) => [random(), random(), sample.answer].join() },
     fail: { description: 'Fails.', parameters: z.object({}), run: () => { throw new Error('no luck'); } },
     pid: { description: 'Names the process.', parameters: z.object({}), run: () => process.pid },
     spin: { description: 'Never ends.', parameters: z.object({}), timeoutMs: 500, run: () => { for (;;); } },
     wait: { description: 'Never ends.', parameters: z.object({}), timeoutMs: 500, run: () => new Promise(() => undefined) },
     reach: {
       description: 'Tries.',
       parameters: z.object({ code: z.string() }),
       run: async ({ code }) => String(await (0, eval)(code)),
     },
   });`,
);
const ofTools = (given: object = {}) =>
  load({ tools: [{ module: tools }], memoryMb: 200, parallel: 2, ...given });
const reach = (code: string): Said => [call('reach', { code })];

describe('tools in the sandbox', () => {
  it('are offered, answer and draw as they do inside', async () => {
    const script = (turn: number): Said =>
      [
        [call('times', { a: 3 }), call('times', { a: 10 }), call('draw', {}), call('fail', {})],
        [call('draw', {}), call('none', {}), call('calculator', { expression: '2*3' })],
        'done',
      ][turn]!;
    const given = { tools: [{ module: tools, options: { factor: 5 } }, { name: 'calculator' }] };
    const inside = await play(await load({ ...given, sandbox: false }), script, { groupSize: 2 });
    const outside = await play(await load(given), script, { groupSize: 2 });
    expect(outside).toEqual(inside);
    expect(contents(outside.played[0]!)).toContain('{"product":150}');
    expect(outside.counts).toMatchObject({
      'tools/times/errors': 2,
      'tools/fail/errors': 2,
      'tools/draw/ms': 4,
    });
  });

  it('are ended by their time, also in a loop that never ends: the model is told, and all go on', async () => {
    const rollout = await ofTools();
    const said: Said[] = [
      [call('pid', {})],
      [call('wait', {}), call('times', { a: 1 })],
      [call('pid', {})],
      [call('spin', {})],
      [call('pid', {})],
      'done',
    ];
    let longestMs = 0;
    let last = performance.now();
    const beat = setInterval(() => {
      longestMs = Math.max(longestMs, performance.now() - last);
      last = performance.now();
    }, 10);
    const { played } = await play(
      rollout,
      (turn, k) => (k === 0 ? said[turn]! : turn < 30 ? [call('pid', {})] : 'done'),
      {
        groupSize: 2,
        maxTurns: 40,
      },
    );
    clearInterval(beat);
    const heard = played[0]!.messages.filter(({ role }) => role === 'tool').map(({ content }) => content);
    const late = 'Error: it took longer than 500 ms';
    expect(heard).toEqual([heard[0], late, '{"product":20}', heard[0], late, heard[5]]);
    expect(heard[5]).not.toBe(heard[0]);
    const others = new Set(
      played[1]!.messages.filter(({ role }) => role === 'tool').map(({ content }) => content),
    );
    expect(others.size).toBe(1);
    expect(longestMs).toBeLessThan(400);
    await waitFor('end of the process that was blocked', () => !isRunning(Number(heard[0])));
  });

  it('with state fail with it, once a call that takes too long has ended their process', async () => {
    const module = write(
      'cart.ts',
      `export default () => defineTools(() => {
         const cart = [];
         return { tools: {
           put: { description: '', parameters: z.object({ fruit: z.string() }), run: ({ fruit }) => cart.push(fruit) },
           spin: { description: '', parameters: z.object({}), timeoutMs: 500, run: () => { for (;;); } },
         } };
       });`,
    );
    const rollout = await load({ tools: [{ module }] });
    const put = (fruit: string): Said => [call('put', { fruit })];
    const script = (turn: number): Said => [put('apple'), put('pear'), 'done'][turn]!;
    const { played } = await play(rollout, script, { groupSize: 2 });
    expect(played.map(contents)).toEqual([0, 1].map(() => ['Go.', '', '1', '', '2', 'done']));
    const spinning = (turn: number): Said => [put('apple'), [call('spin', {})], put('pear')][turn]!;
    await expect(play(rollout, spinning)).rejects.toMatchObject({
      code: 'TRANSIENT_ENVIRONMENT_FAILED',
      message:
        "tool 'put' for sample 's1': its process was ended, as it answered nothing once a call took too long",
    });
  });

  it.each([
    ['an exit', 'process.exit(3)', /its process failed: it ended with status 3/],
    [
      'a late error',
      'setTimeout(() => { throw new Error("late") }); new Promise(() => undefined)',
      /its process failed: .*late/s,
    ],
    [
      'a full heap',
      'const all = []; for (;;) all.push(new Array(1e5).fill(all.length))',
      /its process failed: .*(heap|memory)/s,
    ],
    [
      'large buffers',
      'globalThis.all = Array.from({ length: 40 }, () => Buffer.alloc(1e7, 1)); new Promise(() => undefined)',
      /more than 200 MB of memory/,
    ],
  ])('make of %s a failed environment, never a reward', async (_, code, message) => {
    const rollout = await ofTools();
    await expect(play(rollout, () => reach(code))).rejects.toMatchObject({
      code: 'TRANSIENT_ENVIRONMENT_FAILED',
      message,
      details: { tool: 'reach', sampleId: 's1' },
    });
    expect(
      (await play(rollout, (turn) => (turn === 0 ? [call('times', { a: 1 })] : 'done'))).played,
    ).toHaveLength(1);
  });

  it('read files, but write none, start nothing, and see no variables but theirs', async () => {
    process.env['SANDBOX_SECRET'] = 'secret';
    const rollout = await ofTools({ env: { STYLE: 'brief' } });
    const tried = [
      `process.getBuiltinModule('fs').readFileSync(${JSON.stringify(tools)}, 'utf8').length > 100`,
      `process.getBuiltinModule('fs').writeFileSync(${JSON.stringify(join(dir, 'written'))}, 'x')`,
      `process.getBuiltinModule('child_process').execFileSync('true')`,
      `new (process.getBuiltinModule('worker_threads').Worker)('1', { eval: true })`,
      `[process.env.STYLE, process.env.SANDBOX_SECRET, process.send].join()`,
    ];
    const { played } = await play(rollout, (turn) => (turn < tried.length ? reach(tried[turn]!) : 'done'));
    delete process.env['SANDBOX_SECRET'];
    const heard = played[0]!.messages.filter(({ role }) => role === 'tool').map(({ content }) => content);
    const refused = 'Error: Access to this API has been restricted';
    expect(heard.map((text) => text.slice(0, refused.length))).toEqual([
      'true',
      refused,
      refused,
      refused,
      'brief,,',
    ]);
  });

  (hasNamespaces ? it : it.skip)('reach no network where it is closed', async () => {
    const server = createServer((_request, response) => response.end('here'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const fetching = `fetch('${url}').then((answer) => answer.text(), (error) => error.cause.code)`;
    const heard = ['open', 'closed'].map(async (network) => {
      const rollout = await ofTools({ network });
      const { played } = await play(rollout, (turn) => (turn === 0 ? reach(fetching) : 'done'));
      return played[0]!.messages.at(-2)!.content;
    });
    expect(await Promise.all(heard)).toEqual(['here', 'ENETUNREACH']);
    server.close();
  });

  it('have so many processes as rollouts may run, which serve one after the other', async () => {
    const rollout = await ofTools({ parallel: 2 });
    const ids = async (): Promise<string[]> => {
      const { played } = await play(rollout, (turn) => (turn === 0 ? [call('pid', {})] : 'done'), {
        groupSize: 5,
      });
      return played.map(({ messages }) => messages.at(-2)!.content);
    };
    const [first, second] = await Promise.all([ids(), ids()]);
    const used = new Set([...first!, ...second!]);
    expect(used.size).toBe(2);
    expect(new Set(await ids())).toEqual(used);
  });

  it('are told that nobody waits, and end though they are in a loop', async () => {
    const rollout = await ofTools({
      tools: [
        {
          module: write(
            'long.ts',
            `export default () => defineTools({
      spin: { description: '', parameters: z.object({ file: z.string() }), timeoutMs: 60_000, run: ({ file }) => { console.error(process.pid); for (;;); } },
      pid: { description: '', parameters: z.object({}), run: () => process.pid },
    });`,
          ),
        },
      ],
    });
    const ending = new AbortController();
    let pid = 0;
    const running = play(
      rollout,
      (turn, _k, last) => {
        if (turn === 0) return [call('pid', {})];
        pid = Number(last);
        setTimeout(() => ending.abort(new Error('nobody waits')), 200);
        return [call('spin', { file: 'x' })];
      },
      { signal: ending.signal },
    );
    await expect(running).rejects.toThrow('nobody waits');
    await waitFor('end of the process', () => !isRunning(pid));
  });

  it('say what is wrong with their module before anything runs', async () => {
    const module = write('none.ts', 'export default () => defineTools({});');
    await expect(load({ tools: [{ module }] })).rejects.toMatchObject({
      code: 'CONFIG_MODULE_UNLOADABLE',
      message: /none\.ts failed: tools: found none, expected at least one/,
    });
  });
});

/** An environment that does all that one may do: `tools`, `outcome` and `close` included. */
const environment = write(
  'stairs.ts',
  `import { ForgeError } from '@forge/errors';
   export default ({ height = 3, closed }) => defineEnvironment({
     at: 0,
     earned: 0,
     reset({ prompt }, { random }) {
       this.start = random();
       this.tools = { jump: { description: 'Jumps.', parameters: z.object({ by: z.int() }), run: ({ by }, { random }) => { this.earned = by; return 'jumped ' + random(); } } };
       return prompt + ' ' + this.start;
     },
     step({ content }, { turn, random }) {
       if (content === 'spin') for (;;);
       if (content === 'exit') process.exit(4);
       if (content === 'odd') return { reward: NaN, done: true };
       if (content === 'full') throw new ForgeError('CONFIG_INVALID', 'no such stair');
       if (content !== 'up') return { done: true };
       this.at += 1;
       return { observation: this.at + ' ' + turn + ' ' + random(), reward: 1 / height, done: this.at === height };
     },
     outcome() { return { reward: this.earned, done: this.earned > 4 }; },
     close() { if (closed) throw new Error('stuck'); },
   }, { timeoutMs: 5_000, maxConcurrent: 1 });`,
);
const ofStairs = (options = {}, given: object = {}) =>
  load({ environment: { module: environment, weight: 10, options }, ...given });

describe('an environment in the sandbox', () => {
  it('observes, rewards and draws as it does inside', async () => {
    const script = (turn: number, k: number): Said =>
      (k === 0 ? ['up', [call('jump', { by: 2 })], 'up', 'up'] : ['up', [call('jump', { by: 7 })]])[turn]!;
    const inside = await play(await ofStairs({}, { sandbox: false }), script, { groupSize: 2 });
    const outside = await play(await ofStairs(), script, { groupSize: 2 });
    expect(outside).toEqual(inside);
    expect(outside.episodes.map(({ rewards }) => rewards['stairs'])).toEqual([
      1 / 3 + 2 + 1 / 3 + 1 / 3,
      1 / 3 + 7,
    ]);
  });

  it.each([
    ['spin', 'TRANSIENT_ENVIRONMENT_FAILED', 'it took longer than 5000 ms'],
    ['exit', 'TRANSIENT_ENVIRONMENT_FAILED', 'its process failed: it ended with status 4'],
    ['odd', 'NUMERIC_NON_FINITE', 'step gave reward NaN, expected a finite number'],
    ['full', 'CONFIG_INVALID', 'no such stair'],
  ])('fails by %s as it does inside, and serves the next rollout', async (action, code, message) => {
    const rollout = await ofStairs();
    await expect(play(rollout, () => action)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(`environment 'stairs' for sample 's1': ${message}`) as string,
    });
    expect((await play(rollout, () => 'up')).episodes[0]!.rewards).toEqual({ stairs: 1 });
  });

  it('counts a close that fails', async () => {
    const { counts, episodes } = await play(await ofStairs({ closed: true }), () => 'stop');
    expect(counts).toEqual({ 'environment/stairs/step_ms': 1, 'environment/stairs/failures': 1 });
    expect(episodes).toHaveLength(1);
  });
});

/** The text of a program that loads a tool into the sandbox. */
const loading = (name: string): string => `
  const { loadRollout } = require(${JSON.stringify(join(__dirname, '../../dist/index.js'))});
  const { rolloutSchema } = require('@forge/config');
  const { defaultRollout } = require('@forge/rl');
  const rollout = rolloutSchema.parse({ sandbox: true, tools: [{ name: '${name}' }] });
  loadRollout({ rollout }, { name: 'grpo', rollout: defaultRollout })`;

describe('the processes of a sandbox', () => {
  it('end with the process that has them, however that ends', async () => {
    const program = `${loading('calculator')}.then(() => { console.log('ready'); setInterval(() => {}, 1e6); });`;
    const owner = spawn(process.execPath, ['-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: __dirname,
    });
    await new Promise((resolve) => owner.stdout.once('data', resolve));
    const children = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' })
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, parent]) => Number(parent) === owner.pid)
      .map(([pid]) => Number(pid));
    expect(children).toHaveLength(2);
    owner.kill('SIGKILL');
    await waitFor('end of the processes', () => !children.some(isRunning));
  });

  it('keep no process from ending', () => {
    const program = `${loading('calculator')}.then(() => console.log('ready'));`;
    const options = { encoding: 'utf8', cwd: __dirname, timeout: 30_000 } as const;
    expect(execFileSync(process.execPath, ['-e', program], options)).toBe('ready\n');
  });
});
