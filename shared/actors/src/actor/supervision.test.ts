import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { isRunning, waitFor } from '@forge/testing';
import { Counter } from '../counter.fixture';
import { Parent } from '../family.fixture';
import { thisHost } from '../hosts/host';
import { thisProc } from '../mesh/proc-mesh';
import { describeFailure, rootOwner, setUnhandledFaultHook, type Failure } from './supervision';

const faults: Failure[] = [];
beforeEach(() => {
  faults.length = 0;
  setUnhandledFaultHook((failure) => faults.push(failure));
});
afterEach(async () => {
  await rootOwner.stopOwned();
  setUnhandledFaultHook(null);
});

describe('supervision', () => {
  it('asks the actor mesh, the process mesh and then the program about a failure', async () => {
    const asked: string[] = [];
    const procs = await thisHost().spawnProcs(
      { procs: 1 },
      {
        name: 'procs',
        onFailure: ({ name, rank }) => {
          asked.push(`procs: ${name}[${rank}]`);
          return false;
        },
      },
    );
    const counters = await procs.spawn('counters', Counter);
    counters.onFailure(({ error }) => {
      asked.push(`counters: ${error.message}`);
      return asked.length > 2;
    });
    counters.fail.broadcast();
    await waitFor('the fault', () => faults.length === 1);
    expect(asked).toEqual(['counters: I was asked to fail', 'procs: counters[0]']);
    expect(faults[0]).toMatchObject({ name: 'counters', rank: 0, error: { code: 'BUG_ENDPOINT' } });
    counters.fail.broadcast();
    await waitFor('the third question', () => asked.length === 3);
    expect(await counters.value.callOne()).toBe(0);
    expect(faults).toHaveLength(1);
  });

  it('leaves an exception to the caller that waits for it', async () => {
    const counter = await thisProc().spawn('counter', Counter);
    await expect(counter.fail.callOne()).rejects.toMatchObject({ code: 'BUG_ENDPOINT' });
    counter.refuse.broadcast();
    expect(await counter.value.callOne()).toBe(0);
    expect(faults).toEqual([]);
  });

  it('hears of an exception whose details can not be sent, and of the next', async () => {
    const procs = await thisHost().spawnProcs({ procs: 1 });
    const counter = await procs.spawn('counter', Counter);
    counter.failWithCode.broadcast();
    counter.fail.broadcast();
    await waitFor('both faults', () => faults.length === 2);
    expect(faults.map(({ error }) => [error.code, error.message])).toEqual([
      ['BUG_INVARIANT', 'I was asked to fail with code'],
      ['BUG_ENDPOINT', 'I was asked to fail'],
    ]);
  });

  it('makes a new failure of what a handler throws', async () => {
    const counter = await thisProc().spawn('counter', Counter);
    counter.onFailure(() => {
      throw new Error('no way');
    });
    counter.fail.broadcast();
    await waitFor('the fault', () => faults.length === 1);
    expect(faults[0]).toMatchObject({
      error: { message: 'no way' },
      cause: { error: { message: 'I was asked to fail' } },
    });
  });

  it('tells of a process that died', async () => {
    const procs = await thisHost().spawnProcs({ procs: 2 }, { name: 'pair' });
    process.kill(procs.pids[1]!, 'SIGKILL');
    await waitFor('the fault', () => faults.length === 1);
    expect(faults[0]).toMatchObject({ name: 'pair', rank: 1, error: { code: 'TRANSIENT_REPLICA_LOST' } });
  });

  it.each([
    ['handle', null],
    ['pass', /^parent\[0\]: BUG_ENDPOINT: I was asked to fail\n {2}from children\[1\]: /],
    ['throw', /^parent\[0\]: BUG_INVARIANT: I can not go on\n {2}from children\[1\]: /],
  ] as const)('lets an actor %s a failure of what it spawned', async (answer, fault) => {
    const procs = await thisHost().spawnProcs({ procs: 1 });
    const parent = await procs.spawn('parent', Parent, answer);
    await parent.failChild.callOne();
    const heard = await waitFor('the question', async () => {
      const failures = await parent.failures.callOne();
      return failures.length > 0 && failures;
    });
    expect(heard).toEqual([expect.stringMatching(/^children\[1\]: BUG_ENDPOINT: I was asked to fail/)]);
    if (fault === null) expect(faults).toEqual([]);
    else {
      await waitFor('the fault', () => faults.length === 1);
      expect(describeFailure(faults[0]!)).toMatch(fault);
    }
  });

  it('ends what an actor spawned with the actor', async () => {
    const procs = await thisHost().spawnProcs({ procs: 1 });
    const parent = await procs.spawn('parent', Parent, 'handle');
    const [own, ...children] = await parent.pids.callOne();
    await parent.stop();
    expect([own, ...children].map((pid) => isRunning(pid!))).toEqual([true, false, false]);
    await procs.stop();
    expect(isRunning(own!)).toBe(false);
  });
});

describe('a program that is killed', () => {
  it.each(['idle', 'block'])('takes its processes and theirs along (%s)', async (mode) => {
    const program = fork(join(__dirname, '../../dist/program.fixture.js'), [mode]);
    const [{ greeting, pids }] = (await once(program, 'message')) as [{ greeting: string; pids: number[] }];
    expect([greeting, pids.length, pids.every(isRunning)]).toEqual(['hello Ada', 4, true]);
    program.kill('SIGKILL');
    await waitFor('the end of all', () => !pids.some(isRunning));
  });
});
