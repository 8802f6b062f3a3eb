import { RunState, type Admission } from '@forge/broker';
import { arithmeticTask } from '@forge/rl';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { SampleDraws } from './sample-draws';

let redis: TestRedis;
let count = 0;
const states: RunState[] = [];
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(async () => {
  for (const state of states) state.close();
  await redis.stop();
});

const BATCH = 8;
const task = arithmeticTask({ operators: ['+'], maxDigits: 1, heldOut: 5, seed: 3 });

async function newRun(): Promise<RunState> {
  const state = new RunState(await redis.connect(), `draws-${count++}`);
  states.push(state);
  await state.create({}, { maxStaleness: 0, candidatesPerBatch: BATCH, steps: 50 });
  return state;
}

async function open(state: RunState): Promise<SampleDraws> {
  const coordinator = await state.newCoordinator();
  const curriculum = { explore: 0.2, repeatAfter: 16, seed: 1 };
  return SampleDraws.open({ state: state.curriculum, task, curriculum, fullReward: 2, coordinator });
}

/** Rolls out the groups of a step, whose episodes are right the oftener the smaller the answer is, and trains on them. */
async function step(state: RunState, admissions: readonly Admission[], version: number): Promise<void> {
  for (const { index, position } of admissions) {
    const answer = Number(task.sample(position!).answer);
    const correct = Math.max(0, Math.min(4, 8 - answer));
    await state.publishGroup(index, Buffer.from(''));
    const [group] = await state.readGroups('buffer', 1, 0);
    const meta = { informative: correct > 0 && correct < 4, sums: { rollouts: 4, reward: 2 * correct } };
    await state.storeGroup(group!.entryId, { index, version, ...meta }, group!.payload);
  }
  const groups = admissions.map(({ index }) => ({ index, advantages: [1] }));
  await state.formBatch({ schemaVersion: 4, version, groups, statistics: {} }, []);
  await (await redis.connect()).hset(state.keys.run, 'version', version + 1);
}

async function admit(state: RunState): Promise<Admission[]> {
  const coordinator = Number(await (await redis.connect()).hget(state.keys.run, 'coordinator'));
  return state.admit(BATCH, coordinator);
}

describe('SampleDraws', () => {
  it('draws the same samples, whoever coordinates and whenever it was killed', async () => {
    const [whole, broken] = [await newRun(), await newRun()];
    const draws = await open(whole);
    let others = await open(broken);
    for (let version = 0; version < 12; version++) {
      const expected = await draws.placed(await admit(whole));
      let admitted = await admit(broken);
      // Killed between admission and draw, and between draw and job.
      if (version % 3 === 1) {
        others = await open(broken);
        admitted = await broken.pendingGroups();
      }
      let placed = await others.placed(admitted);
      if (version % 3 === 2) {
        others = await open(broken);
        placed = await others.placed(await broken.pendingGroups());
      }
      expect(placed).toEqual(expected);
      expect(new Set(placed.map(({ position }) => position)).size).toBeGreaterThan(1);
      await step(whole, expected, version);
      await step(broken, placed, version);
    }
  });

  it('draws again what a Redis that died has forgotten', async () => {
    const state = await newRun();
    const draws = await open(state);
    const admitted = await admit(state);
    const connection = await redis.connect();
    const before = await Promise.all(
      [state.keys.records, state.keys.pending].map((key) => connection.hgetall(key)),
    );
    const placed = await draws.placed(admitted);
    await connection.del(state.keys.curriculum);
    await connection.hset(state.keys.records, before[0]!);
    await connection.hset(state.keys.pending, before[1]!);
    expect(await draws.placed(await state.pendingGroups())).toEqual(placed);
  });

  it('rolls out the sample of a group that is replayed', async () => {
    const state = await newRun();
    const draws = await open(state);
    const [first] = await draws.placed(await admit(state));
    const again = { index: 100, minVersion: 0, replayOf: first!.index };
    expect(await draws.placed([again])).toEqual([{ ...again, position: first!.position }]);
  });
});
