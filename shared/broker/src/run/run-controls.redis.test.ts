import { startLossyProxy, startTestRedis, type TestRedis } from '@forge/testing';
import { connectRedis } from '../redis/connection';
import { RunState } from './run-state';

let server: TestRedis;
let count = 0;
const states: RunState[] = [];

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(async () => {
  for (const state of states) state.close();
  await server.stop();
});

async function newRun(maxStaleness = 0): Promise<RunState> {
  const state = new RunState(await server.connect(), `run-${count++}`);
  states.push(state);
  await state.create({}, { maxStaleness, candidatesPerBatch: 2, steps: 5 });
  return state;
}

const toldBy = async (state: RunState) => (await state.readTelemetry('0', 0)).map(({ event }) => event);
const COUNTS = { coordinator: 1, trainer: 1, policy: 2, reward: 1, 'replay-buffer': 1 };

describe('RunControls', () => {
  it('sets several settings at once, which count for the next admission, and tells each', async () => {
    const state = await newRun();
    expect(await state.admit(10)).toHaveLength(2);
    await state.controls.set({ maxStaleness: Infinity, steps: 3, stopAtAccuracy: 0.5 });
    expect(await state.controls.steering()).toEqual({
      maxStaleness: Infinity,
      steps: 3,
      stopAtAccuracy: 0.5,
      isPaused: false,
      epoch: 0,
    });
    expect((await state.admit(10)).map(({ index }) => index)).toEqual([2, 3, 4, 5]);
    await state.controls.set({ stopAtAccuracy: null });
    expect((await state.controls.steering()).stopAtAccuracy).toBeNull();
    const told = { kind: 'control', version: 0, operation: 'set', id: expect.any(String) as string };
    expect(await toldBy(state)).toEqual([
      { ...told, name: 'maxStaleness', from: '0', to: 'inf' },
      { ...told, name: 'steps', from: '5', to: '3' },
      { ...told, name: 'stopAtAccuracy', from: '', to: '0.5' },
      { ...told, name: 'stopAtAccuracy', from: '0.5', to: '' },
    ]);
  });

  it('admits by the dials that are turned, below the bounds of the run, and tells why', async () => {
    const state = await newRun(2);
    expect(await state.controls.tuning()).toEqual({ pace: null, groupsInFlight: null, state: null });
    await state.controls.tune({ pace: 0, groupsInFlight: 1 }, '"first"', null);
    expect(await state.admit(10)).toHaveLength(1);
    await state.controls.tune({ groupsInFlight: 10 }, '"second"', 'the trainer waits');
    expect(await state.admit(10)).toHaveLength(1);
    // The oldest version that is allowed is that of the bound, not of the pace.
    await state.controls.tune({ pace: 100 }, '"third"', 'the trainer waits');
    expect((await state.admit(10)).map(({ minVersion }) => minVersion)).toEqual([0, 0, 0, 0]);
    expect(await state.controls.tuning()).toEqual({ pace: 100, groupsInFlight: 10, state: '"third"' });
    expect(await toldBy(state)).toMatchObject([
      { operation: 'tune', name: 'groupsInFlight', from: '1', to: '10', reason: 'the trainer waits' },
      { operation: 'tune', name: 'pace', from: '0', to: '100', reason: 'the trainer waits' },
    ]);
  });

  it('admits nothing while it is paused', async () => {
    const state = await newRun();
    await state.controls.pause();
    expect(await state.admit(10)).toEqual([]);
    await state.controls.unpause();
    expect(await state.admit(10)).toHaveLength(2);
    expect(await toldBy(state)).toMatchObject([
      { operation: 'pause', name: 'admission', from: '', to: '1' },
      { operation: 'unpause', name: 'admission', from: '1', to: '' },
    ]);
  });

  it('wants replicas and restarts of what is supervised', async () => {
    const state = await newRun();
    await state.controls.supervise(COUNTS);
    await state.controls.scale({ policy: 3, reward: 256 });
    const { names, request } = await state.controls.restart('policy');
    expect(names).toEqual(['policy/0', 'policy/1', 'policy/2']);
    expect(await state.controls.restart('trainer/0')).toMatchObject({ names: ['trainer/0'] });
    await state.controls.restarted('policy/0', request);
    await state.controls.restarted('policy/1', request, 'exit 1');
    const { replicas, restarts } = await state.controls.wanted();
    expect(Object.fromEntries(replicas)).toEqual({ ...COUNTS, policy: 3, reward: 256 });
    const outcomes = [...restarts].map(([name, { outcome }]) => [name, outcome] as const);
    expect(Object.fromEntries(outcomes)).toEqual({
      'policy/0': '',
      'policy/1': 'exit 1',
      'policy/2': null,
      'trainer/0': null,
    });
    await state.controls.restart('policy/0');
    expect((await state.controls.wanted()).restarts.get('policy/0')?.outcome).toBeNull();
    // A supervisor that takes over leaves what is wanted.
    await state.controls.supervise(COUNTS);
    expect((await state.controls.wanted()).replicas.get('policy')).toBe(3);
  });

  it.each<[string, (state: RunState) => Promise<unknown>]>([
    ['coordinator: there is exactly one', ({ controls }) => controls.scale({ coordinator: 2 })],
    ['trainer: there is exactly one', ({ controls }) => controls.scale({ policy: 2, trainer: 1 })],
    ['replay-buffer: there is exactly one', ({ controls }) => controls.scale({ 'replay-buffer': 2 })],
    [
      'policy: found 0 replicas, expected a whole number from 1 to 256',
      ({ controls }) => controls.scale({ policy: 0 }),
    ],
    ['policy: found 257 replicas', ({ controls }) => controls.scale({ policy: 257 })],
    ['policy: found 1.5 replicas', ({ controls }) => controls.scale({ policy: 1.5 })],
    ['reference: the run has no such process; it has', ({ controls }) => controls.scale({ reference: 2 })],
    ['policy/2: the run has no such process', ({ controls }) => controls.restart('policy/2')],
    ['policy/-1: the run has no such process', ({ controls }) => controls.restart('policy/-1')],
    ['redis: the run has no such process', ({ controls }) => controls.restart('redis')],
    ['more steps than that already', ({ controls }) => controls.set({ maxStaleness: 4, steps: -1 })],
  ])('refuses, and changes nothing: %s', async (reason, change) => {
    const state = await newRun();
    await state.controls.supervise(COUNTS);
    const before = [await state.controls.wanted(), await state.controls.steering()];
    await expect(change(state)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(reason) as string,
    });
    expect([await state.controls.wanted(), await state.controls.steering()]).toEqual(before);
    expect(await toldBy(state)).toEqual([]);
  });

  it('says that nobody supervises a run whose processes were started one by one', async () => {
    const state = await newRun();
    await expect(state.controls.scale({ policy: 2 })).rejects.toThrow('policy: nobody supervises this run');
  });

  it('changes no run that does not go on any more', async () => {
    const state = await newRun();
    await state.setPhase('finished');
    const conflict = {
      code: 'CONFLICT_STATE',
      message: expect.stringContaining('the run is finished') as string,
    };
    await expect(state.controls.set({ maxStaleness: 1 })).rejects.toMatchObject(conflict);
    await expect(state.controls.pause()).rejects.toMatchObject(conflict);
    await expect(state.controls.scale({ policy: 2 })).rejects.toMatchObject(conflict);
    const gone = new RunState(await server.connect(), 'gone');
    states.push(gone);
    await expect(gone.controls.pause()).rejects.toMatchObject({ code: 'CONFLICT_STATE' });
  });

  it('has one effect, and tells it once, when the answer of a call is lost', async () => {
    const direct = await newRun();
    await direct.controls.set({ steps: 6 });
    const proxy = await startLossyProxy(server.url);
    const redis = await connectRedis(proxy.url, { name: 'test', giveUpAfterMs: 5_000 });
    const state = new RunState(redis, direct.runId);
    const lost = proxy.loseNextAnswer();
    await state.controls.set({ maxStaleness: 3 });
    await lost;
    expect((await toldBy(direct)).map((event) => event !== null && 'to' in event && event.to)).toEqual([
      '6',
      '3',
    ]);
    state.close();
    redis.disconnect();
    await proxy.stop();
  });
});
