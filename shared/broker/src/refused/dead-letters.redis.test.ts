import { startTestRedis, type TestRedis } from '@forge/testing';
import type { RunBounds } from '../run/run-bounds';
import { RunState } from '../run/run-state';
import { verifyLedger } from '../groups/verify-ledger';

let server: TestRedis;
let count = 0;
const states: RunState[] = [];
beforeAll(async () => {
  server = await startTestRedis();
});
afterEach(() => {
  for (const state of states.splice(0)) state.close();
});
afterAll(() => server.stop());

async function newRun(bounds: Partial<RunBounds> = {}): Promise<RunState> {
  const state = new RunState(await server.connect(), `run-${count++}`, bounds);
  states.push(state);
  await state.create({}, { maxStaleness: 0, candidatesPerBatch: 3, steps: 5 });
  return state;
}

const failure = (payload: Buffer | string = '{"sample":1}') => ({
  code: 'BUG_INVARIANT',
  message: 'the reward throws',
  attempts: 3,
  payload,
});
const idsOf = async (state: RunState) => (await state.deadLetters.list()).map(({ id }) => id);

describe('dead letters', () => {
  it('keep what is known of a failed job, once, however often it is told', async () => {
    const state = await newRun();
    await state.admit(3);
    expect(await state.rejectGroup({ index: 1 }, 'failed', failure())).toBe(true);
    expect(await state.rejectGroup({ index: 1 }, 'failed', failure())).toBe(false);
    const letter = await state.deadLetters.get('r-1');
    expect(await state.deadLetters.list()).toEqual([letter]);
    const { payload, atMs, ...rest } = letter;
    expect(rest).toEqual({
      schemaVersion: 1,
      id: 'r-1',
      kind: 'rollout',
      index: 1,
      code: 'BUG_INVARIANT',
      message: 'the reward throws',
      attempts: 3,
      sizeBytes: 12,
    });
    expect(Buffer.from(payload).toString()).toBe('{"sample":1}');
    expect(Math.abs(atMs - Date.now())).toBeLessThan(60_000);
  });

  it('keep 64 KiB of a larger payload, and how large it was', async () => {
    const state = await newRun();
    await state.deadLetters.keep('j-1', 'job', failure(Buffer.alloc(100_000, 7)));
    const { payload, sizeBytes } = await state.deadLetters.get('j-1');
    expect([payload.length, sizeBytes]).toEqual([65_536, 100_000]);
    expect(Buffer.from(payload).equals(Buffer.alloc(65_536, 7))).toBe(true);
  });

  it('make room for newer ones beyond their cap, and are counted', async () => {
    const state = await newRun({ deadLetters: 2 });
    for (const id of ['a', 'b', 'c', 'd']) await state.deadLetters.keep(id, 'job', failure());
    expect(await idsOf(state)).toEqual(['c', 'd']);
    expect(await state.deadLetters.counts()).toEqual({ kept: 2, dropped: 2, waiting: 0 });
  });

  it('do not take a group that is published with its job, nor one in flight with a message that names it', async () => {
    const state = await newRun();
    await state.admit(2);
    await state.publishGroup(0, Buffer.from('good'));
    expect(await state.rejectGroup({ index: 0 }, 'failed', failure())).toBe(false);
    const redis = await server.connect();
    const entryId = (await redis.xadd(state.keys.groups, '*', 'index', '1', 'payload', 'forged'))!;
    expect(await state.rejectGroup({ index: 1, entryId }, 'invalid', failure())).toBe(false);
    expect(await state.ledger()).toMatchObject({ inFlight: 2, discarded: {} });
    expect(await idsOf(state)).toEqual([`m-${entryId}`]);
    expect(verifyLedger(await state.ledgerSnapshot())).toEqual([]);
  });

  it('can be discarded', async () => {
    const state = await newRun();
    await state.deadLetters.keep('a', 'job', failure());
    await state.deadLetters.discard('a');
    expect(await idsOf(state)).toEqual([]);
    for (const act of ['discard', 'get', 'replay'] as const)
      await expect(state.deadLetters[act]('a')).rejects.toMatchObject({ code: 'CONFLICT_STATE' });
  });
});

describe('a replay', () => {
  it('gives the sample to the next admitted group, within the bound, and the ledger balances', async () => {
    const state = await newRun();
    await state.admit(10);
    await state.rejectGroup({ index: 1 }, 'failed', failure());
    await state.deadLetters.replay('r-1');
    expect(await idsOf(state)).toEqual([]);
    expect((await state.deadLetters.counts()).waiting).toBe(1);
    expect(await state.admit(10)).toEqual([{ index: 3, minVersion: 0, replayOf: 1 }]);
    expect((await state.pendingGroups()).at(-1)).toEqual({ index: 3, minVersion: 0, replayOf: 1 });
    expect(await state.admit(10)).toEqual([]);
    const snapshot = await state.ledgerSnapshot();
    expect(verifyLedger(snapshot)).toEqual([]);
    expect(snapshot.groups.get(3)).toMatchObject({ state: 'inFlight', replayOf: 1 });
    expect(snapshot.ledger).toMatchObject({ admitted: 4, inFlight: 3, discarded: { failed: 1 } });
  });

  it('that fails again is again the sample of the first', async () => {
    const state = await newRun();
    await state.admit(3);
    await state.rejectGroup({ index: 1 }, 'failed', failure());
    await state.deadLetters.replay('r-1');
    await state.admit(1);
    await state.rejectGroup({ index: 3 }, 'failed', failure());
    await state.deadLetters.replay('r-3');
    expect(await state.admit(10)).toEqual([{ index: 4, minVersion: 0, replayOf: 1 }]);
  });

  it('happens once', async () => {
    const state = await newRun();
    await state.admit(3);
    await state.rejectGroup({ index: 1 }, 'failed', failure());
    const both = await Promise.allSettled([state.deadLetters.replay('r-1'), state.deadLetters.replay('r-1')]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await state.deadLetters.counts()).waiting).toBe(1);
  });

  it('is refused for what names no group, and by a run that admits nothing any more', async () => {
    const state = await newRun();
    await state.admit(3);
    await state.deadLetters.keep('e-s1', 'evaluation', failure());
    await expect(state.deadLetters.replay('e-s1')).rejects.toThrow('evaluations come again by themselves');
    await state.rejectGroup({ index: 1 }, 'failed', failure());
    await state.setPhase('finished');
    await expect(state.deadLetters.replay('r-1')).rejects.toThrow('the run is finished');
    expect(await idsOf(state)).toEqual(['e-s1', 'r-1']);
  });
});
