import { RunState, verifyLedger } from '@forge/broker';
import type { Truncated } from '@forge/config';
import { encode, type Episode, type Group } from '@forge/contracts';
import { defineAlgorithm } from '@forge/rl';
import { startTestRedis, type TestRedis } from '@forge/testing';
import type { Judge } from '../domain/judgement';
import { BatchFormer } from './batch-former';
import { GroupIntake } from './group-intake';

const rules = { groups: 2, candidatesPerBatch: 4 };
const algorithm: Judge = defineAlgorithm({
  advantage: (rewards) => rewards.map((r) => r - 0.5),
  loss: ({ logprobs }) => logprobs,
});
const traces = { kept: () => undefined };
const activity = { during: async <T>(_: string, work: () => T | Promise<T>) => work() };
const logger = { error: () => undefined, warn: () => undefined } as never;

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

let runs = 0;
const states: RunState[] = [];
afterEach(() => {
  for (const state of states.splice(0)) state.close();
});

async function newRun(maxStaleness = 1): Promise<RunState> {
  const state = new RunState(await redis.connect(), `run-${++runs}`);
  await state.create({}, { maxStaleness, candidatesPerBatch: rules.candidatesPerBatch, steps: 8 });
  states.push(state);
  return state;
}

function replayBuffer(
  runState: RunState,
  judge = algorithm,
  { refill = 0, log = logger, truncated = 'keep' as Truncated, stragglers = 'wait' as 'wait' | 'drop' } = {},
) {
  const batches = new BatchFormer(runState, { ...rules, refill, stragglers }, judge, log);
  return {
    batches,
    intake: new GroupIntake({
      ...{ runState, algorithm: judge, truncated, batches, consumer: '0', traces, activity },
    }),
  };
}

function group(runState: RunState, index: number, reward: number, version = 0): Group {
  return {
    schemaVersion: 3,
    runId: runState.runId,
    index,
    sampleId: `s${index}`,
    promptText: '1+1=',
    replica: '0',
    weightHashes: { [version]: '0'.repeat(64) },
    episodes: [
      {
        tokenIds: Int32Array.of(1, 2),
        mask: Uint8Array.of(0, 1),
        logprobs: Float32Array.of(0, -1),
        versions: Int32Array.of(-1, version),
        reward,
        rewards: {},
        text: '2',
      },
    ],
  };
}

const publish = (runState: RunState, index: number, reward = 0.5, version = 0) =>
  runState.publishGroup(index, encode(group(runState, index, reward, version)), {
    ...{ replica: '0', oldest: version, newest: version },
  });

async function commit(runState: RunState, step: number): Promise<void> {
  const announcement = { version: step + 1, path: 'w', sizeBytes: 1, sha256: '0'.repeat(64) };
  await runState.commitStep(step, { schemaVersion: 1, epoch: await epochOf(runState), ...announcement });
}
const epochs = new Map<string, number>();
async function epochOf(runState: RunState): Promise<number> {
  const epoch = epochs.get(runState.runId) ?? (await runState.newEpoch());
  epochs.set(runState.runId, epoch);
  return epoch;
}

describe('replay buffer', () => {
  describe('with a group that takes long', () => {
    /** Batch 0 is trained without group 0, and there are enough others for batch 1. */
    const late = async (stragglers: 'wait' | 'drop') => {
      const state = await newRun();
      const { intake, batches } = replayBuffer(state, algorithm, { stragglers });
      await state.admit(8);
      for (let index = 0; index < 8; index++) await state.beginGroup(index, 0);
      for (const index of [1, 2, 3, 4]) await publish(state, index, 1);
      await intake.turn(10);
      expect(await state.nextBatch()).toBe(1);
      await state.readBatch('trainer', 10);
      await commit(state, 0);
      await state.admit(1);
      await state.beginGroup(8, 1);
      for (const index of [5, 6, 7, 8]) await publish(state, index, 1, index === 8 ? 1 : 0);
      await intake.turn(10);
      return { state, intake, batches };
    };

    it('waits for it, where it would be too old for the batch after', async () => {
      const { state, intake } = await late('wait');
      expect(await state.nextBatch()).toBe(1);
      await publish(state, 0, 1);
      await intake.turn(10);
      const leased = await state.readBatch('trainer', 10);
      expect(leased?.batch.groups.map(({ index }) => index)).toEqual([0, 5]);
      expect(await state.ledger()).toMatchObject({ leased: 2, buffered: 1, inFlight: 0 });
    });

    it('waits no longer once it begins anew, or is given up', async () => {
      for (const end of [
        (state: RunState) => state.beginGroup(0, 1),
        (state: RunState) => state.dropStale(0),
      ]) {
        const { state, batches } = await late('wait');
        await end(state);
        await batches.form();
        expect(await state.nextBatch()).toBe(2);
      }
    });

    it('forms the batch without it where stragglers are dropped, and discards it when it comes', async () => {
      const { state, intake } = await late('drop');
      expect(await state.nextBatch()).toBe(2);
      await publish(state, 0, 1);
      await intake.turn(10);
      expect(await state.ledger()).toMatchObject({ discarded: { stale: 1 } });
      expect(verifyLedger(await state.ledgerSnapshot())).toEqual([]);
    });
  });

  it('forms the batch of informative groups and discards the other candidates', async () => {
    const state = await newRun();
    const { intake } = replayBuffer(state);
    await state.admit(4);
    for (const [index, reward] of [
      [3, 1],
      [1, 0.5],
      [0, 0.5],
      [2, 0],
    ] as const)
      await publish(state, index, reward);
    await intake.turn(10);

    const leased = await state.readBatch('trainer', 10);
    expect(leased?.batch.groups).toEqual([
      { index: 2, advantages: [-0.5] },
      { index: 3, advantages: [0.5] },
    ]);
    expect(leased?.batch.statistics).toMatchObject({ 'reward/mean': 0.5, 'groups/informative_share': 0.5 });
    expect(await state.ledger()).toMatchObject({
      leased: 2,
      discarded: { 'not-selected': 2 },
      isBalanced: true,
    });
  });

  describe('with candidates that may be replaced', () => {
    const admitted = async (state: RunState) => (await state.admit(8)).map(({ index }) => index);

    it('has others drawn in place of those with nothing to teach, until the batch is full', async () => {
      const state = await newRun(0);
      const { intake } = replayBuffer(state, algorithm, { refill: 8 });
      expect(await admitted(state)).toEqual([0, 1, 2, 3]);
      for (const [index, reward] of [0.5, 1, 0.5, 0.5].entries()) await publish(state, index, reward);
      await intake.turn(10);
      expect(await state.readBatch('trainer', 10)).toBeNull();
      // One is lacking, and two are rolled for each.
      expect(await state.refilled()).toBe(2);
      expect(await admitted(state)).toEqual([4, 5]);
      await publish(state, 4, 0.5);
      await publish(state, 5, 0.5);
      // Another replay buffer takes over in the middle of it.
      const { intake: successor, batches } = replayBuffer(state, algorithm, { refill: 8 });
      await batches.restore();
      await successor.turn(10);
      expect(await admitted(state)).toEqual([6, 7]);
      await publish(state, 6, 0);
      await publish(state, 7, 0.5);
      await successor.turn(10);
      const leased = await state.readBatch('trainer', 10);
      expect(leased?.batch.groups.map(({ index }) => index)).toEqual([1, 6]);
      expect(leased?.batch.statistics).toMatchObject({ 'groups/refilled': 4 });
      expect(await state.ledger()).toMatchObject({
        leased: 2,
        discarded: { uninformative: 4, 'not-selected': 2 },
        isBalanced: true,
      });
      expect(verifyLedger(await state.ledgerSnapshot())).toEqual([]);
      expect(await state.refilled()).toBe(0);
      // The next step has all its groups, from weights that are new enough for it.
      await commit(state, 0);
      expect(await state.admit(8)).toEqual([8, 9, 10, 11].map((index) => ({ index, minVersion: 1 })));
    });

    it('trains on what there is when it may draw no more, and says when nothing is left to teach', async () => {
      const said: string[] = [];
      const log = { error: () => undefined, warn: (_: object, message: string) => said.push(message) };
      const state = await newRun(0);
      const { intake, batches } = replayBuffer(state, algorithm, { refill: 4, log: log as never });
      for (let step = 0; step < 4; step++) {
        for (const index of await admitted(state)) await publish(state, index, 0.5, step);
        await intake.turn(10);
        for (const index of await admitted(state)) await publish(state, index, 0.5, step);
        await intake.turn(10);
        const leased = await state.readBatch('trainer', 10);
        expect(leased?.batch).toMatchObject({
          version: step,
          groups: [{}, {}],
          statistics: { 'groups/refilled': 4, 'groups/informative_share': 0 },
        });
        expect(said).toHaveLength(step < 2 ? 0 : 1);
        await commit(state, step);
        await batches.form();
      }
      expect(said).toEqual([expect.stringContaining('no group of the last 3 batches has anything to teach')]);
    });
  });

  it('trains on no rollout that was cut off where these are dropped, and lets go of a group of such alone', async () => {
    const state = await newRun();
    const { intake } = replayBuffer(state, algorithm, { truncated: 'drop' });
    await state.admit(5);
    const cut = (index: number, reward: number): Episode => ({
      ...group(state, index, reward).episodes[0]!,
      end: 'turns',
    });
    for (const index of [0, 1, 2, 3, 4]) {
      const whole = group(state, index, index % 2);
      const episodes = index === 2 ? [cut(2, 1)] : [...whole.episodes, cut(index, 1)];
      await state.publishGroup(index, encode({ ...whole, episodes }));
    }
    await intake.turn(10);
    expect(await state.ledger()).toMatchObject({ discarded: { truncated: 1 }, isBalanced: true });
    const leased = await state.readBatch('trainer', 10);
    for (const { advantages } of leased!.batch.groups) expect(advantages).toEqual([expect.any(Number), null]);
    expect(leased?.batch.statistics).toMatchObject({ 'rollout/truncated/turns': 0.5 });
  });

  it('sends what it cannot understand to the dead letter and returns its admission', async () => {
    const state = await newRun();
    const { intake } = replayBuffer(state);
    await state.admit(3);
    await state.publishGroup(0, Buffer.from('nonsense'));
    await state.publishGroup(1, encode({ ...group(state, 1, 1), runId: 'another' }));
    await state.publishGroup(2, encode(group(state, 7, 1)));
    await intake.turn(10);
    expect(await state.ledger()).toMatchObject({
      inFlight: 0,
      buffered: 0,
      discarded: { invalid: 3 },
      isBalanced: true,
    });
    const letters = await state.deadLetters.list();
    expect(letters.map(({ kind, index, code }) => [kind, index, code])).toEqual(
      [0, 1, 2].map((index) => ['message', index, 'CONTRACT_INVALID_MESSAGE']),
    );
    expect(Buffer.from(letters[0]!.payload).toString()).toBe('nonsense');
  });

  it('refuses groups that there are not, and drops what comes twice', async () => {
    const state = await newRun();
    const connection = await redis.connect();
    const { intake } = replayBuffer(state);
    await state.admit(2);
    await publish(state, 0);
    await intake.turn(10);
    const send = (index: number, message: Group) =>
      connection.xadd(state.keys.groups, '*', 'index', index, 'payload', encode(message));
    await send(0, group(state, 0, 1));
    await send(7, group(state, 7, 1));
    await send(1, group(state, 2, 1));
    await publish(state, 1, 0.5, 1);
    await intake.turn(10);
    await state.rejections.flush();
    expect(await state.rejections.totals()).toEqual({ 'groups/duplicate': 1, 'groups/unknown': 3 });
    expect((await state.deadLetters.list()).map(({ index, message }) => [index, message])).toEqual([
      [null, 'group 7: there is no such group'],
      [1, `group 1 of run ${state.runId}: the payload is group 2 of run ${state.runId}`],
      [1, expect.stringContaining('but the run is at 0')],
    ]);
    expect(await state.ledger()).toMatchObject({ buffered: 1, discarded: { invalid: 1 }, isBalanced: true });
  });

  it('refuses groups whose weights are not those of their versions in this run', async () => {
    const state = await newRun();
    const { intake } = replayBuffer(state);
    const announcement = { version: 0, path: 'w', sizeBytes: 1, sha256: '0'.repeat(64) };
    await state.weights.announce({ schemaVersion: 1, epoch: await epochOf(state), ...announcement });
    await state.admit(4);
    const foreign = [{ '0': 'f'.repeat(64) }, {}, { '0': '0'.repeat(64), '1': '1'.repeat(64) }];
    for (const [index, weightHashes] of foreign.entries())
      await state.publishGroup(index, encode({ ...group(state, index, 1), weightHashes }));
    await publish(state, 3);
    await intake.turn(10);
    expect(await state.ledger()).toMatchObject({
      buffered: 1,
      discarded: { invalid: 2, 'other-weights': 1 },
      isBalanced: true,
    });
    const letters = await state.deadLetters.list();
    expect(letters.map(({ message }) => message)).toEqual([
      `group 0: tokens are of version 0 with weights ${'f'.repeat(64)}, but that version is ${'0'.repeat(64)}`,
      'group 1: tokens are of versions 0, its weights of ',
      'group 2: tokens are of versions 0, its weights of 0, 1',
    ]);
  });

  it("goes on without a group that the user's advantage throws on", async () => {
    const state = await newRun();
    const advantage = (rewards: readonly number[]) => {
      if (rewards[0] === 0.25) throw new RangeError('what a reward');
      return [...rewards];
    };
    const { intake } = replayBuffer(state, { ...algorithm, advantage });
    await state.admit(2);
    for (const [index, reward] of [
      [0, 0.25],
      [1, 1],
    ] as const)
      await publish(state, index, reward);
    await intake.turn(10);
    expect(await state.ledger()).toMatchObject({ buffered: 1, discarded: { invalid: 1 }, isBalanced: true });
    expect(await state.deadLetters.list()).toMatchObject([
      { index: 0, message: 'group 0 (sample s0): advantage: it failed: what a reward' },
    ]);
  });

  it('gives the trainer what the second stage makes of the groups of a batch', async () => {
    const state = await newRun();
    const acrossBatch: Judge['acrossBatch'] = (groups) => {
      const all = groups.flatMap(({ rewards }) => rewards);
      const mean = all.reduce((sum, reward) => sum + reward, 0) / all.length;
      return groups.map(({ rewards }) => rewards.map((reward) => [0, reward - mean]));
    };
    const { intake } = replayBuffer(state, { ...algorithm, acrossBatch });
    await state.admit(4);
    for (const [index, reward] of [0, 3, 1, 0.5].entries()) await publish(state, index, reward);
    await intake.turn(10);
    expect((await state.readBatch('trainer', 10))?.batch.groups).toEqual([
      { index: 0, advantages: [Float32Array.of(0, -1.5)] },
      { index: 1, advantages: [Float32Array.of(0, 1.5)] },
    ]);
  });

  it.each<[string, Judge['acrossBatch'], number[], string]>([
    [
      'the group to blame',
      (groups) => groups.map(({ rewards }) => rewards.map((reward) => (reward === 3 ? NaN : reward))),
      [1],
      'group 1 (sample s1): acrossBatch: the advantage of episode 0 is NaN; expected a finite number',
    ],
    [
      'all groups of a batch when none is to blame',
      (groups) => {
        if (groups.some(({ rewards }) => rewards[0] === 3)) throw new RangeError('what a batch');
        return groups.map(({ advantages }) => [...advantages]);
      },
      [0, 1],
      'group 0, 1 (sample s0, s1): acrossBatch: it failed: what a batch',
    ],
  ])('gives up %s, with a dead letter, and goes on with others', async (_, acrossBatch, gone, words) => {
    const state = await newRun();
    const { intake } = replayBuffer(state, { ...algorithm, acrossBatch });
    await state.admit(4);
    for (const [index, reward] of [0, 3, 1, 0].entries()) await publish(state, index, reward);
    await intake.turn(10);
    expect(await state.ledger()).toMatchObject({
      buffered: 4 - gone.length,
      discarded: { invalid: gone.length },
      isBalanced: true,
    });
    const letters = await state.deadLetters.list();
    expect(letters.map(({ id, index }) => [id, index])).toEqual(gone.map((index) => [`b-${index}`, index]));
    for (const { message } of letters) expect(message).toContain(words);
    for (const { index } of await state.admit(4)) await publish(state, index, 1);
    await intake.turn(10);
    expect((await state.readBatch('trainer', 10))?.batch.groups).toHaveLength(2);
  });

  it('forms one batch ahead of the trainer and no more', async () => {
    const state = await newRun();
    const { batches, intake } = replayBuffer(state);
    await state.admit(8);
    for (let index = 0; index < 8; index += 1) await publish(state, index);
    await intake.turn(10);
    expect(await state.nextBatch()).toBe(2);
    await state.readBatch('trainer', 10);
    await commit(state, 0);
    await state.admit(8);
    for (let index = 8; index < 12; index += 1) await publish(state, index, 0.5, 1);
    await intake.turn(10);
    await batches.form();
    expect(await state.nextBatch()).toBe(3);
  });

  it('evicts what is too old for the next step and reports it with that batch', async () => {
    const state = await newRun();
    const { intake } = replayBuffer(state);
    await state.admit(8);
    for (const index of [0, 1, 2, 3]) await publish(state, index);
    await intake.turn(10);
    for (const index of [4, 5, 6]) await publish(state, index);
    await intake.turn(10);
    await commit(state, 0);
    await state.admit(8);
    await publish(state, 7, 0.5, 0);
    await intake.turn(10);
    await state.readBatch('trainer', 10);
    await commit(state, 1);
    await publish(state, 8, 0.5, 0);
    for (const index of [9, 10, 11]) await publish(state, index, 0.5, 1);
    await intake.turn(10);
    expect(await state.nextBatch()).toBe(2);
    expect(await state.ledger()).toMatchObject({ buffered: 3, discarded: { stale: 1 }, isBalanced: true });
    const [replacement] = await state.admit(1);
    await publish(state, replacement!.index, 0.5, 2);
    await intake.turn(10);
    expect((await state.readBatch('trainer', 10))?.batch).toMatchObject({
      version: 2,
      statistics: { 'groups/discarded': 1, 'groups/discarded_share': 1 / 5 },
    });
  });

  it('evicts what a lowered bound makes too old, and keeps formed batches as they are', async () => {
    const state = await newRun();
    const { intake, batches } = replayBuffer(state);
    await state.controls.set({ maxStaleness: 2 });
    await state.admit(12);
    for (let index = 0; index < 12; index += 1) await publish(state, index);
    await intake.turn(10);
    expect(await state.nextBatch()).toBe(2);
    await state.controls.set({ maxStaleness: 0 });
    await batches.form();
    expect(await state.ledger()).toMatchObject({ buffered: 4, discarded: {} });
    expect(await state.readBatch('trainer', 10)).toMatchObject({ batch: { version: 0 }, maxStaleness: 2 });
    await commit(state, 0);
    await batches.form();
    expect(await state.ledger()).toMatchObject({ buffered: 0, discarded: { stale: 4 }, isBalanced: true });
    expect(await state.readBatch('trainer', 10)).toMatchObject({ batch: { version: 1 }, maxStaleness: 2 });
    await commit(state, 1);
    expect(await state.admit(12)).toEqual([12, 13, 14, 15].map((index) => ({ index, minVersion: 2 })));
  });

  it('goes round again when the bound is lowered while it chooses', async () => {
    const state = await newRun();
    const { intake } = replayBuffer(state);
    await state.admit(8);
    for (const index of [0, 1, 2, 3]) await publish(state, index);
    await intake.turn(10);
    for (const index of [4, 5, 6, 7]) await publish(state, index);
    const set = (): Promise<void> => state.controls.set({ maxStaleness: 0 });
    const formBatch = jest.spyOn(state, 'formBatch').mockImplementationOnce(async (...args) => {
      await set();
      return state.formBatch(...args);
    });
    await intake.turn(10);
    expect(formBatch.mock.results).toHaveLength(2);
    expect(await state.ledger()).toMatchObject({ leased: 2, buffered: 0, discarded: { stale: 4 } });
  });

  it('goes on after a crash with what its predecessor had stored', async () => {
    const state = await newRun();
    await state.admit(4);
    for (const index of [0, 1]) await publish(state, index);
    await replayBuffer(state).intake.turn(10);
    for (const index of [2, 3]) await publish(state, index);
    const successor = replayBuffer(state);
    await successor.batches.restore();
    await successor.intake.turn(10);
    expect((await state.readBatch('trainer', 10))?.batch.groups.map(({ index }) => index)).toEqual([0, 1]);
  });

  it('forms a batch of what it and another one have stored, which was taken for dead and is back', async () => {
    const state = await newRun();
    await state.admit(8);
    const [one, other] = [replayBuffer(state), replayBuffer(state)];
    for (const index of [0, 1]) await publish(state, index);
    await one.intake.turn(10);
    for (const index of [2, 3]) await publish(state, index);
    await other.intake.turn(10);
    expect((await state.readBatch('trainer', 10))?.batch.version).toBe(0);
    // Both hold as many as Redis, but not the same.
    for (const index of [4, 5]) await publish(state, index);
    await other.intake.turn(10);
    for (const index of [6, 7]) await publish(state, index);
    await one.intake.turn(10);
    await one.batches.form();
    expect(await state.nextBatch()).toBe(2);
    expect(await state.ledger()).toMatchObject({ buffered: 0, isBalanced: true });
  });
});
