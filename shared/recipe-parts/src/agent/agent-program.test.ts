import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRunning, waitFor } from '@forge/testing';
import { AgentProgram, type AgentProgramOptions } from './agent-program';

const dir = mkdtempSync(join(tmpdir(), 'forge-agent-'));
afterAll(() => rmSync(dir, { recursive: true }));

const sample = { id: 's1', prompt: '2*3=', answer: '6' };
const call = { sample, baseUrl: 'http://127.0.0.1:8000', key: 'sk-forge-k' };
const program = (command: string[], options: Partial<AgentProgramOptions> = {}): AgentProgram =>
  new AgentProgram({ command, env: {}, timeLimitMs: 60_000, parallel: 8, ...options });
const node = (code: string, options: Partial<AgentProgramOptions> = {}, signal?: AbortSignal) =>
  program([process.execPath, '-e', code], options).run({ ...call, signal });
const shell = (script: string, options: Partial<AgentProgramOptions> = {}, signal?: AbortSignal) =>
  program(['sh', '-c', script], options).run({ ...call, signal });

/** Numbers in a file, once it has that many lines. */
async function numbersIn(file: string, count: number): Promise<number[]> {
  const read = (): number[] => {
    try {
      return readFileSync(file, 'utf8').trim().split('\n').map(Number);
    } catch {
      return [];
    }
  };
  await waitFor(`${count} lines of ${file}`, () => read().length >= count);
  return read();
}

/** A script of two processes that would go on for ever, and say who they are. */
const twoProcesses = (file: string): string =>
  `sh -c 'echo $$ >> ${file}; sleep 600' & echo $$ >> ${file}; wait`;

describe('AgentProgram', () => {
  it('hands the sample over on the standard input, however that is read, and the session in the environment', async () => {
    const { stderr } = await node(
      `
      const fs = require('fs');
      const { PATH, HOME, TMPDIR, LANG, LC_ALL, LC_CTYPE, TZ, ...rest } = process.env;
      console.error(fs.readFileSync('/dev/stdin', 'utf8') + JSON.stringify(rest));`,
      { env: { STYLE: 'brief', OPENAI_API_KEY: 'another' } },
    );
    const [given, env] = stderr.split('\n');
    expect(JSON.parse(given!)).toEqual(sample);
    const rest = JSON.parse(env!) as Record<string, string>;
    delete rest['PWD']; // the shell's
    expect(rest).toEqual({
      STYLE: 'brief',
      OPENAI_BASE_URL: 'http://127.0.0.1:8000/v1',
      OPENAI_API_KEY: 'sk-forge-k',
      ANTHROPIC_BASE_URL: 'http://127.0.0.1:8000',
      ANTHROPIC_API_KEY: 'sk-forge-k',
    });
    expect((await shell('cat >&2')).stderr).toBe(`${JSON.stringify(sample)}\n`);
    expect(await shell('exec 0<&-')).toEqual({ reward: null, stderr: '' });
  });

  it.each<[string, number | null]>([
    [`echo '{"reward": 0.5}'`, 0.5],
    [`echo thinking; echo '{"reward": -2, "why": "late"}'; echo`, -2],
    [`printf '{"reward":1e-3}'`, 0.001],
    [`echo '{"reward": null}'`, null],
    [`echo '{"reward": 1}'; echo done`, null],
    [`echo '{"rewards": 1}'`, null],
    [':', null],
    [`yes | head -c 300000; echo; echo '{"reward": 3}'`, 3],
  ])('takes from %s the reward %j', async (script, reward) => {
    expect(await shell(script)).toEqual({ reward, stderr: '' });
  });

  it.each([
    [
      `echo '{"reward": NaN}'`,
      'NUMERIC_NON_FINITE',
      'its last line gives no reward: found {"reward": NaN}, expected {"reward": 0.5}',
    ],
    [`echo '{"reward": 1e999}'`, 'NUMERIC_NON_FINITE', 'found {"reward": 1e999}'],
    [`echo '{"reward": -Infinity}'`, 'NUMERIC_NON_FINITE', 'found {"reward": -Infinity}'],
    [`echo '{"reward": "1"}'`, 'CONTRACT_INVALID_MESSAGE', 'found {"reward": "1"}'],
    [`echo '{"reward": -1e13}'`, 'CONTRACT_INVALID_MESSAGE', 'a reward of -10000000000000, expected'],
    [`echo '{"reward": 1,'`, 'CONTRACT_INVALID_MESSAGE', 'found {"reward": 1,'],
    ['echo no index >&2; exit 3', 'TRANSIENT_ENVIRONMENT_FAILED', 'it ended with status 3: no index'],
    [`echo '{"reward": 1}'; exit 1`, 'TRANSIENT_ENVIRONMENT_FAILED', 'it ended with status 1'],
    ['kill -9 $$', 'TRANSIENT_ENVIRONMENT_FAILED', 'it was ended by SIGKILL'],
    [
      `sh -c 'kill -11 $$'; exit $?`,
      'TRANSIENT_ENVIRONMENT_FAILED',
      'it ended with status 139, as by SIGSEGV',
    ],
    ['no-such-program', 'CONFIG_PATH_UNUSABLE', 'no-such-program'],
  ])('makes of %s the error %s, and no reward', async (script, code, message) => {
    await expect(shell(script)).rejects.toMatchObject({
      code,
      details: { agent: `sh -c ${script}`, sampleId: 's1' },
      message: expect.stringContaining(message) as string,
    });
  });

  it('says that a program is missing, or is none', async () => {
    await expect(program(['./no-agent']).run(call)).rejects.toMatchObject({ code: 'CONFIG_PATH_UNUSABLE' });
    await expect(program([dir]).run(call)).rejects.toMatchObject({ code: 'CONFIG_PATH_UNUSABLE' });
  });

  it('keeps the end of what is written to stderr, however much that is', async () => {
    const { stderr } = await node(`process.stderr.write('x'.repeat(3e6) + 'the end')`);
    expect(stderr).toHaveLength(8 * 1024);
    expect(stderr).toMatch(/x+the end$/);
  });

  it('ends one that takes too long, and what it has started', async () => {
    const file = join(dir, 'late');
    await expect(shell(twoProcesses(file), { timeLimitMs: 1_000 })).rejects.toMatchObject({
      code: 'CAPACITY_SESSION_LIMIT',
      message: expect.stringContaining('it did not end within 1000 ms (rollout.timeLimitMs)') as string,
      details: { limit: 'time', sampleId: 's1' },
    });
    const ids = await numbersIn(file, 2);
    await waitFor('end of the processes', () => !ids.some(isRunning));
  });

  it('ends what one leaves behind, and does not wait for what has left its group', async () => {
    const file = join(dir, 'left');
    await shell(`sleep 600 & echo $! > ${file}`);
    const [left] = await numbersIn(file, 1);
    await waitFor('end of the processes', () => !isRunning(left!));
    const code = `
      const { pid } = require('child_process').spawn('sleep', ['600'], { detached: true, stdio: 'inherit' });
      console.error(pid); process.exit(0)`;
    const { stderr } = await node(code);
    process.kill(Number(stderr));
  });

  it('ends one that nobody waits for any more, with the reason', async () => {
    const file = join(dir, 'aborted');
    const ending = new AbortController();
    const running = shell(twoProcesses(file), {}, ending.signal);
    const outcome = running.catch((error: unknown) => error);
    const ids = await numbersIn(file, 2);
    const reason = new Error('drained');
    ending.abort(reason);
    expect(await outcome).toBe(reason);
    await waitFor('end of the processes', () => !ids.some(isRunning));
    await expect(shell('exit 1', {}, ending.signal)).rejects.toBe(reason);
  });

  it('ends one that takes too much memory, with its children together', async () => {
    const hog = `const held = Buffer.alloc(120e6, 1); setInterval(() => held.fill(2), 1e6);`;
    const two = `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(hog)}]); ${hog}`;
    await expect(node(two, { memoryMb: 250 })).rejects.toMatchObject({
      code: 'TRANSIENT_ENVIRONMENT_FAILED',
      message: expect.stringContaining('it took more than 250 MB of memory') as string,
    });
    const small = `setTimeout(() => console.log('{"reward": 1}'), 2500)`;
    expect(await node(small, { memoryMb: 250 })).toMatchObject({ reward: 1 });
  });

  it('ends with the process that started it, also when that is killed', async () => {
    const file = join(dir, 'orphans');
    const parent = join(dir, 'parent.js');
    const built = join(__dirname.replace('/src/', '/dist/'), 'agent-program.js');
    const options = { command: ['sh', '-c', twoProcesses(file)], env: {}, timeLimitMs: 600_000, parallel: 1 };
    writeFileSync(
      parent,
      `const { AgentProgram } = require(${JSON.stringify(built)});
       void new AgentProgram(${JSON.stringify(options)}).run(${JSON.stringify(call)});`,
    );
    const child = spawn(process.execPath, [parent], { stdio: 'ignore' });
    const ids = await numbersIn(file, 2);
    expect(ids.every(isRunning)).toBe(true);
    child.kill('SIGKILL');
    await waitFor('end of the processes', () => !ids.some(isRunning));
  });

  it('runs so many at a time', async () => {
    const file = join(dir, 'places');
    const counted = program(['sh', '-c', `echo 1 >> ${file}; sleep 0.1; echo -1 >> ${file}`], {
      parallel: 2,
    });
    await Promise.all(Array.from({ length: 5 }, () => counted.run(call)));
    let running = 0;
    const counts = (await numbersIn(file, 10)).map((step) => (running += step));
    expect(Math.max(...counts)).toBe(2);
  });

  it('lets one that goes first overtake the others, and one that nobody waits for any more leave', async () => {
    const file = join(dir, 'order');
    const one = program(['sh', '-c', `cat >> ${file}; sleep 0.2`], { parallel: 1 });
    const given = (id: string, more: object = {}) => one.run({ ...call, sample: { ...sample, id }, ...more });
    const ending = new AbortController();
    const works = [
      given('a'),
      given('b'),
      given('left', { signal: ending.signal }),
      given('c', { isFirst: true }),
    ];
    ending.abort(new Error('nobody waits'));
    await expect(works[2]).rejects.toThrow('nobody waits');
    await Promise.all([works[0], works[1], works[3]]);
    const ids = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { id: string }).id);
    expect(ids).toEqual(['a', 'c', 'b']);
  });

  it('leaves neither guards nor samples behind', async () => {
    const before = readdirSync(tmpdir());
    const reports = await Promise.all(Array.from({ length: 4 }, () => shell('echo $$ >&2')));
    const groups = reports.map(({ stderr }) => stderr.trim());
    const guards = (): string[] =>
      execFileSync('ps', ['-A', '-o', 'args='], { encoding: 'utf8' })
        .split('\n')
        .filter((line) => groups.some((group) => line.endsWith(`guard ${group}`)));
    await waitFor('end of the guards', () => guards().length === 0);
    const made = readdirSync(tmpdir()).filter((name) => !before.includes(name));
    expect(made.filter((name) => name.startsWith('forge-sample-'))).toEqual([]);
  });
});
