import type { WeightsAnnouncement } from '@forge/contracts';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { RunState } from '../run/run-state';
import { verifyLedger } from '../groups/verify-ledger';

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

async function newRun(): Promise<RunState> {
  const state = new RunState(await server.connect(), `run-${count++}`);
  states.push(state);
  await state.create({}, { maxStaleness: 1, candidatesPerBatch: 2, steps: 5 });
  return state;
}

const hashOf = (version: number): string => String(version).padStart(64, '0');

const announcement = (version: number, epoch: number): WeightsAnnouncement => ({
  schemaVersion: 1,
  version,
  epoch,
  path: '/weights',
  sizeBytes: 1,
  sha256: hashOf(version),
});

describe('weights', () => {
  it('says which hash is not that of the version in this run', async () => {
    const state = await newRun();
    expect(await state.weights.disagreement({ '0': hashOf(9) })).toBeNull();
    await state.weights.announce(announcement(0, await state.newEpoch()));
    expect(await state.weights.disagreement({ '0': hashOf(0) })).toBeNull();
    expect(await state.weights.disagreement({ '0': hashOf(9) })).toBe(
      `version 0 with weights ${hashOf(9)}, but that version is ${hashOf(0)}`,
    );
    expect(await state.weights.disagreement({ '0': hashOf(0), '1': hashOf(1) })).toBe(
      `version 1 with weights ${hashOf(1)}, but the run is at 0`,
    );
  });

  it('knows who uses what, until they leave', async () => {
    const { weights } = await newRun();
    await weights.use('policy/0', { version: null, reading: 3 });
    await weights.use('policy/1', { version: 3, reading: null });
    await weights.use('policy/0', { version: 3, reading: 4 });
    expect(await weights.users()).toEqual(
      new Map([
        ['policy/0', { version: 3, reading: 4 }],
        ['policy/1', { version: 3, reading: null }],
      ]),
    );
    await weights.leave('policy/0');
    expect([...(await weights.users()).keys()]).toEqual(['policy/1']);
  });

  it('hands the trainer the version that is asked for again, once', async () => {
    const { weights } = await newRun();
    expect(await weights.wanted()).toEqual({ publish: null, rollback: null, rollbacksInARow: 0 });
    await weights.askAgain(2);
    await weights.askAgain(3);
    expect((await weights.wanted()).publish).toBe(3);
    await weights.takeAsked();
    expect((await weights.wanted()).publish).toBeNull();
  });

  it('announces the current version again to whoever has seen it', async () => {
    const state = await newRun();
    const epoch = await state.newEpoch();
    await state.weights.announce(announcement(0, epoch));
    const first = await state.weights.latest();
    expect(await state.weights.next(first!.id, 0)).toBeNull();
    await state.weights.announce(announcement(0, epoch));
    expect((await state.weights.next(first!.id, 0))?.announcement).toEqual(announcement(0, epoch));
    await state.newEpoch();
    await expect(state.weights.announce(announcement(0, epoch))).rejects.toMatchObject({
      code: 'STALE_EPOCH',
    });
  });

  /** A run whose next batch holds group `step` twice over, as far as `trainer` goes. */
  async function withBatch(state: RunState, step: number): Promise<void> {
    const admitted = await state.admit(2);
    for (const { index } of admitted)
      await state.publishGroup(index, Buffer.from('group'), { replica: '0', oldest: step, newest: step });
    for (const { entryId, index, payload } of await state.readGroups('buffer', 2, 0))
      await state.storeGroup(entryId, { index, version: step }, payload);
    const groups = admitted.map(({ index }) => ({ index, advantages: [1] }));
    await state.formBatch({ schemaVersion: 4, version: step, groups, statistics: {} }, []);
    await state.readBatch('trainer', 0);
  }

  it('keeps a rollback asked for until the commit that does it, also through another trainer', async () => {
    const state = await newRun();
    const { weights } = state;
    await expect(weights.askRollback(1)).rejects.toMatchObject({
      code: 'CONFLICT_STATE',
      message: "can't roll back to version 1: there is no version 1 yet",
    });
    await withBatch(state, 0);
    const first = await state.newEpoch();
    await state.commitStep(0, announcement(1, first));
    await weights.askRollback(0);
    await withBatch(state, 1);
    const second = await state.newEpoch();
    const back = { ...announcement(2, first), sha256: hashOf(0) };
    await expect(state.commitStep(1, back, { to: 0, isAsked: true })).rejects.toMatchObject({
      code: 'STALE_EPOCH',
    });
    expect((await weights.wanted()).rollback).toBe(0);
    // The same batch comes to the new trainer; a call that is sent twice changes nothing.
    expect((await state.readBatch('trainer', 0))?.batch.version).toBe(1);
    await state.commitStep(1, { ...back, epoch: second }, { to: 0, isAsked: true });
    await state.commitStep(1, { ...back, epoch: second }, { to: 0, isAsked: true });
    expect(await weights.wanted()).toEqual({ publish: null, rollback: null, rollbacksInARow: 0 });
    expect(await state.version()).toBe(2);
    expect((await weights.latest())?.announcement).toEqual({ ...back, epoch: second });
    expect(await weights.hashOf(2)).toBe(hashOf(0));
    expect(await state.ledger()).toMatchObject({
      trained: 2,
      leased: 0,
      discarded: { 'rolled-back': 2 },
      isBalanced: true,
    });
    expect(verifyLedger(await state.ledgerSnapshot())).toEqual([]);
  });

  it('keeps a later request that came while an earlier one was done, and says why one was refused', async () => {
    const state = await newRun();
    const { weights } = state;
    const epoch = await state.newEpoch();
    await withBatch(state, 0);
    await weights.askRollback(0);
    await weights.refuseRollback(3, 'of another request');
    expect((await weights.wanted()).rollback).toBe(0);
    await state.commitStep(0, announcement(1, epoch), { to: 0, isAsked: true });
    await weights.askRollback(1);
    await withBatch(state, 1);
    await weights.askRollback(0);
    await state.commitStep(1, announcement(2, epoch), { to: 1, isAsked: true });
    expect((await weights.wanted()).rollback).toBe(0);
    await weights.refuseRollback(0, 'it is gone');
    expect([(await weights.wanted()).rollback, await weights.refusedRollback()]).toEqual([
      null,
      'it is gone',
    ]);
    await weights.askRollback(1);
    expect(await weights.refusedRollback()).toBeNull();
    await state.setPhase('finished');
    await expect(weights.askRollback(1)).rejects.toMatchObject({
      message: expect.stringContaining('the run is finished'),
    });
  });

  it('counts the steps in a row that were rolled back by themselves', async () => {
    const state = await newRun();
    const epoch = await state.newEpoch();
    const counts: number[] = [];
    for (const [step, to] of [0, 1, null, 3].entries()) {
      await withBatch(state, step);
      await state.commitStep(
        step,
        announcement(step + 1, epoch),
        ...(to === null ? [] : [{ to, isAsked: false }]),
      );
      counts.push((await state.weights.wanted()).rollbacksInARow);
    }
    expect(counts).toEqual([1, 2, 0, 1]);
  });
});
