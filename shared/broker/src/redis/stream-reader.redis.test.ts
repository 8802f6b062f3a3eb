import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { CONSUMER_GROUP, type Redis } from '../index';
import { RunState } from '../run/run-state';

let server: TestRedis;
let redis: Redis;
const states: RunState[] = [];
beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
afterAll(async () => {
  for (const state of states) state.close();
  await server.stop();
});

async function newRun(runId: string, claimIdleMs?: number): Promise<RunState> {
  const state = new RunState(redis, runId, undefined, claimIdleMs === undefined ? {} : { claimIdleMs });
  states.push(state);
  await state.create({}, { maxStaleness: Infinity, candidatesPerBatch: 1, steps: 10 });
  await state.admit(3);
  return state;
}

/** Waits until a reader of a stream is blocked in Redis. */
const blocked = (count: number) =>
  waitFor('blocked readers', async () =>
    new RegExp(`^blocked_clients:${count}\\b`, 'm').test(await redis.info('clients')),
  );

const indices = (groups: readonly { index: number }[]) => groups.map(({ index }) => index);

describe('a consumer group that Redis lost', () => {
  it('is made again, and what the stream holds is delivered', async () => {
    const state = await newRun('lost');
    await state.publishGroup(0, Buffer.from('a'));
    await redis.xgroup('DESTROY', state.keys.groups, CONSUMER_GROUP);
    await redis.xgroup('DESTROY', state.keys.batches, CONSUMER_GROUP);
    expect(indices(await state.readGroups('buffer', 10, 0))).toEqual([0]);
    expect(await state.readBatch('trainer', 0)).toBeNull();
  });

  it('is made again for a reader that waits, also with its stream', async () => {
    const state = await newRun('waiting');
    for (const [index, lose] of [
      () => redis.xgroup('DESTROY', state.keys.groups, CONSUMER_GROUP),
      () => redis.del(state.keys.groups),
    ].entries()) {
      const reading = state.readGroups('buffer', 10, 10_000);
      await blocked(1);
      await lose();
      await state.publishGroup(index, Buffer.from('a'));
      const [group] = await reading;
      expect(group!.index).toBe(index);
      await state.storeGroup(group!.entryId, { index, version: 0 }, group!.payload);
    }
  });
});

describe('what a consumer left behind', () => {
  it('is taken over after the idle time, and not before', async () => {
    const state = await newRun('abandoned', 1_500);
    const patient = await newRun('abandoned-elsewhere', 60_000);
    for (const run of [state, patient]) await run.publishGroup(0, Buffer.from('a'));
    // The first consumer reads and is killed before it has stored anything.
    const script = `
      const { connectRedis, RunState } = require(${JSON.stringify(join(__dirname, '../../dist'))});
      connectRedis(${JSON.stringify(server.url)}, { name: 'victim', giveUpAfterMs: 5000 }).then(async (redis) => {
        for (const run of ['abandoned', 'abandoned-elsewhere'])
          process.stdout.write((await new RunState(redis, run).readGroups('victim', 10, 0)).length + ' ');
      });`;
    const victim = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    victim.stdout.on('data', (text: Buffer) => (said += text.toString()));
    await waitFor('reads', () => said === '1 1 ');
    victim.kill('SIGKILL');
    expect(await state.readGroups('survivor', 10, 0)).toEqual([]);
    const groups = await waitFor('the claim', async () => {
      const found = await state.readGroups('survivor', 10, 20);
      return found.length > 0 ? found : null;
    });
    expect(indices(groups)).toEqual([0]);
    expect(await state.storeGroup(groups[0]!.entryId, { index: 0, version: 0 }, groups[0]!.payload)).toBe(
      'stored',
    );
    expect(await patient.readGroups('survivor', 10, 0)).toEqual([]);
  });
});

describe('what a consumer was given and did not acknowledge', () => {
  it('comes again to its successor of the same name at once, until it is stored', async () => {
    const state = await newRun('own', 60_000);
    await state.publishGroup(0, Buffer.from('a'));
    expect(indices(await state.readGroups('buffer', 10, 0))).toEqual([0]);
    const successor = new RunState(redis, 'own');
    states.push(successor);
    const [group] = await successor.readGroups('buffer', 10, 0);
    expect(group).toMatchObject({ index: 0 });
    await successor.storeGroup(group!.entryId, { index: 0, version: 0 }, group!.payload);
    expect(await successor.readGroups('buffer', 10, 0)).toEqual([]);
  });
});

describe('close', () => {
  it('lets readers that wait, and later ones, find nothing', async () => {
    const state = await newRun('closed');
    const readers = () =>
      Promise.all([
        state.readGroups('buffer', 10, 30_000),
        state.readBatch('trainer', 30_000),
        state.weights.next('0', 30_000),
        state.readTelemetry('0', 30_000),
        state.waitForSignal('7-0', 30_000),
      ]);
    const reading = readers();
    await blocked(5);
    state.close();
    expect(await reading).toEqual([[], null, null, [], '7-0']);
    expect(await readers()).toEqual([[], null, null, [], '7-0']);
    await blocked(0);
  });

  it('does not let a loop that goes on reading keep everything else from running', async () => {
    const state = await newRun('looped');
    state.close();
    let isOver = false;
    setTimeout(() => (isOver = true), 1);
    while (!isOver) expect(await state.readGroups('buffer', 1, 1_000)).toEqual([]);
  });
});
