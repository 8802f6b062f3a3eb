import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRunning, waitFor } from '@forge/testing';

const script = join(__dirname, 'introduction.ts');
/** Directory for files that a killed program leaves behind. */
const temporary = mkdtempSync(join(tmpdir(), 'forge-intro-'));
afterAll(() => {
  rmSync(temporary, { recursive: true, force: true });
});

interface Program {
  child: ChildProcess;
  output: () => string;
  ended: Promise<[code: number | null, signal: NodeJS.Signals | null]>;
}

const programs: Program[] = [];
afterEach(() => {
  for (const { child } of programs.splice(0)) child.kill('SIGKILL');
});

function start(...args: string[]): Program {
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...args], {
    env: { ...process.env, TMPDIR: temporary },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const program = { child, output: () => text, ended: once(child, 'close') as Program['ended'] };
  programs.push(program);
  return program;
}

const found = (program: Program, pattern: RegExp): Promise<RegExpExecArray> =>
  waitFor(`${pattern} in the output`, () => pattern.exec(program.output()), 50_000).catch(
    (error: unknown) => {
      throw new Error(program.output(), { cause: error });
    },
  );

/** The processes of the service, once the script waits for one of them to be killed. */
async function replicas(program: Program): Promise<number[]> {
  const [, pids] = await found(program, /kill -9 one of the replicas: (.*)\n/);
  return pids!.split(', ').map(Number);
}

describe('the introduction', () => {
  it('shows what it says, and ends with an answer the policy has learned', async () => {
    const program = start();
    expect(await program.ended).toEqual([0, null]);
    const lines = program.output().split('\n');
    for (const line of [
      'after one increment: 11',
      'after an increment on host 0: 1 1 0 0',
      'the one at hosts 0, gpus 1 says 1',
      'after a broadcast: 2 2 1 1',
      'eight increments, balanced over all: 2 2 2 2',
      'the caller gets: BUG_ENDPOINT: I was asked to fail',
      'a wrong call: CONTRACT_INVALID_CALL, healthy: 4 of 4',
      'the service is gone, and so are its processes',
    ])
      expect(lines).toContain(`  ${line}`);
    expect(program.output()).toMatch(/three increments in a session: 5 \(replica \d\)/);
    expect(program.output()).toMatch(/replica \d was killed; process \d+ took over for \d+/);
    const [, prompt, before, version, after] = await found(
      program,
      /changed an answer\n {2}(.+)=\n {4}version 0: (.+)\n {4}version (\d+): (.+), which is right\n$/,
    );
    expect(Number(version)).toBeGreaterThan(0);
    const [, a, operator, b] = /^(\d+)([+-])(\d+)$/.exec(prompt!)!;
    const result = operator === '+' ? Number(a) + Number(b) : Number(a) - Number(b);
    expect(after!.replace(/<.*>/, '')).toBe(String(result));
    expect(before!.replace(/<.*>/, '')).not.toBe(String(result));
  });

  it('survives a kill -9 of a replica while it waits', async () => {
    const program = start('--pause');
    const pids = await replicas(program);
    process.kill(pids[2]!, 'SIGKILL');
    const [, index, newPid, oldPid] = await found(
      program,
      /replica (\d) was killed; process (\d+) took over for (\d+)\n {2}healthy: 4 of 4/,
    );
    expect([index, oldPid]).toEqual(['2', String(pids[2])]);
    expect([isRunning(Number(newPid)), isRunning(pids[2]!)]).toEqual([true, false]);
    program.child.kill('SIGINT');
    expect(await program.ended).toEqual([130, null]);
    await waitFor('the end of all processes', () => ![...pids, Number(newPid)].some(isRunning));
  });

  it('takes its processes along when it is killed', async () => {
    const program = start('--pause');
    const pids = await replicas(program);
    expect(pids.every(isRunning)).toBe(true);
    program.child.kill('SIGKILL');
    await waitFor('the end of all processes', () => !pids.some(isRunning));
  });
});
