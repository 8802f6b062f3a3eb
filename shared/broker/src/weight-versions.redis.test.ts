import type { WeightsAnnouncement } from '@forge/contracts';
import { startTestRedis, type TestRedis } from '@forge/testing';
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
    expect(await weights.takeAsked()).toBeNull();
    await weights.askAgain(2);
    await weights.askAgain(3);
    expect(await weights.takeAsked()).toBe(3);
    expect(await weights.takeAsked()).toBeNull();
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
});
