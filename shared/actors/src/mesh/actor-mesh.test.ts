import { isRunning, waitFor } from '@forge/testing';
import { rootOwner } from '../actor/supervision';
import { Counter, hidden, Unready } from '../counter.fixture';
import { thisHost } from '../hosts/host';
import { thisProc, type ProcMesh } from './proc-mesh';
import { PartialFailure } from './value-mesh';

afterAll(() => rootOwner.stopOwned());

describe('a mesh of actors in processes of their own', () => {
  let procs: ProcMesh<'hosts' | 'gpus'>;
  beforeAll(async () => {
    procs = await thisHost().spawnProcs({ hosts: 1, gpus: 3 });
  });

  it('gives every process a pid of its own', () => {
    expect(new Set([...procs.pids, process.pid]).size).toBe(4);
  });

  it('counts, by every adverb', async () => {
    const counters = await procs.spawn('counters', Counter, 5);
    counters.increment.broadcast();
    const values = await counters.value.call();
    expect([values.values, values.dimensions]).toEqual([[6, 6, 6], { hosts: 1, gpus: 3 }]);
    await counters.slice({ gpus: 1 }).add.call(4);
    expect([...(await counters.value.call())]).toEqual([
      [0, 6],
      [1, 10],
      [2, 6],
    ]);
    expect((await counters.value.call()).get({ hosts: 0, gpus: 1 })).toBe(10);
    expect(await counters.slice({ hosts: 0, gpus: 1 }).value.callOne()).toBe(10);
    const streamed: [number, number][] = [];
    for await (const entry of counters.value.stream()) streamed.push(entry);
    expect(streamed.sort()).toEqual([
      [0, 6],
      [1, 10],
      [2, 6],
    ]);
  });
});

it('answers what has come before it stops', async () => {
  const procs = await thisHost().spawnProcs({ procs: 1 });
  const counters = await procs.spawn('counters', Counter);
  const called = [counters.slowly.callOne(50), counters.slowly.callOne(50)];
  const stopped = procs.stop();
  expect(await Promise.all(called)).toEqual([1, 2]);
  await stopped;
  await expect(counters.value.callOne()).rejects.toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
});

it('tells which ranks failed, with the results of the others', async () => {
  const procs = await thisHost().spawnProcs({ gpus: 2 });
  const counters = await procs.spawn('counters', Counter);
  process.kill(procs.pids[1]!, 'SIGKILL');
  counters.onFailure(() => true);
  const failed = await counters.add.call(4).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(PartialFailure);
  expect(failed).toMatchObject({
    code: 'TRANSIENT_REPLICA_LOST',
    failedRanks: [1],
    results: [{ status: 'fulfilled', value: 4 }, { status: 'rejected' }],
  });
});

it('calls the only one, or one in turn', async () => {
  const procs = await thisHost().spawnProcs({ gpus: 2 });
  const counters = await procs.spawn('counters', Counter);
  await expect(counters.value.callOne()).rejects.toMatchObject({
    code: 'CONTRACT_INVALID_CALL',
    message: 'counters.value.callOne() needs a mesh of one, this one has gpus=2',
  });
  await Promise.all([1, 2, 3, 4].map(() => counters.increment.choose()));
  expect((await counters.value.call()).values).toEqual([2, 2]);
  const items: [number, number][] = [];
  for await (const item of counters.items.stream(2)) items.push(item);
  expect(items.sort()).toEqual([
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ]);
});

it('spawns in this process', async () => {
  const local = await thisProc().spawn('local', Counter, 5);
  await local.increment.call();
  expect(await local.value.callOne()).toBe(6);
  expect((await local.where.callOne()).pid).toBe(process.pid);
});

it('rejects the spawn of what can not be loaded or set up', async () => {
  const procs = await thisHost().spawnProcs({ gpus: 1 });
  await expect(procs.spawn('h', hidden.hiddenClass)).rejects.toMatchObject({
    code: 'CONFIG_ACTOR_UNLOADABLE',
  });
  await expect(procs.spawn('u', Unready)).rejects.toMatchObject({ code: 'CONFIG_MODEL_MISSING' });
  const [pid] = procs.pids;
  await procs.stop();
  await waitFor('the end of the process', () => !isRunning(pid!));
});
