import type { KeptCall, Sample } from '@forge/contracts';
import type { Redis } from 'ioredis';
import { startTestRedis, type TestRedis } from '@forge/testing';
import type { RunState } from '../run/run-state';
import { createRun } from '../run/run-state.fixture';
import { hashOfKey, newSessionKey } from './session-key';

let server: TestRedis;
let redis: Redis;
let count = 0;
const states: RunState[] = [];
beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
afterAll(async () => {
  for (const state of states) state.close();
  await server.stop();
});

/** A run with two groups in flight. */
async function newRun(): Promise<RunState> {
  const state = await createRun(redis, `sessions-${count++}`);
  states.push(state);
  await state.admit(2);
  return state;
}

const sample = (id: string): Sample => ({ id, prompt: `prompt ${id}` });
const owned = (group: number | string, owner = 'first', replica = `policy-of-${owner}`) => ({
  ...{ group: String(group), sample: sample(`s${group}`), replica, owner },
});
const call = (text: string): KeptCall => ({
  digest: 'd'.repeat(64),
  talk: 0,
  added: [{ role: 'user', content: `ask ${text}` }],
  tools: [],
  answer: {
    message: { role: 'assistant', content: text },
    completion: {
      text,
      promptTokenIds: [1],
      tokenIds: [2],
      logprobs: [-1],
      versions: [0],
      stopReason: 'end',
    },
  },
});
const failure = { code: 'TRANSIENT_TIMEOUT', message: 'm', attempts: 3, payload: '' } as const;

describe('SessionDirectory', () => {
  it('finds the only group of a size behind many of another one', async () => {
    const state = await createRun(redis, `sessions-${count++}`, { candidatesPerBatch: 50 });
    states.push(state);
    await state.admit(50);
    for (let group = 0; group < 50; group++) await state.sessions.offer(group === 47 ? 1 : 2, owned(group));
    expect(await state.sessions.take(1)).toMatchObject({ group: '47' });
    expect(await state.sessions.take(1)).toBeNull();
    expect(await state.sessions.take(2)).toMatchObject({ group: '0' });
  });

  it('hands out groups that wait, the oldest first or by sample, each once, with keys of which it keeps hashes', async () => {
    const { sessions, keys } = await newRun();
    await sessions.offer(2, owned(1));
    await sessions.offer(2, owned(0));
    expect(await sessions.byId('0-1')).toMatchObject({ state: 'waiting', replica: 'policy-of-first' });
    expect(await sessions.take(3)).toBeNull();
    expect(await sessions.take(2, 's7')).toBeNull();
    const named = await sessions.take(2, 's1');
    expect(named).toMatchObject({ group: '1', sample: sample('s1') });
    const oldest = (await sessions.take(2))!;
    expect(oldest.sessions.map(({ sessionId }) => sessionId)).toEqual(['0-0', '0-1']);
    expect([await sessions.take(2), await redis.zcard(keys.sessionOffers)]).toEqual([null, 0]);
    const { key } = oldest.sessions[1]!;
    expect(key).toMatch(/^sk-forge-[\w-]{43}$/);
    expect(await sessions.byKey(hashOfKey(key))).toEqual({
      ...{
        sessionId: '0-1',
        group: '0',
        rollout: 1,
        replica: 'policy-of-first',
        state: 'open',
        reward: null,
      },
    });
    expect(await sessions.byKey(key)).toBeNull();
    const kept = JSON.stringify([
      await redis.hgetall(keys.sessions('0')),
      await redis.hgetall(keys.sessionKeys),
    ]);
    expect(kept).not.toContain('sk-forge-');
  });

  it('hands out the same group to who asks with the same keys again, while it is in flight', async () => {
    const { sessions } = await newRun();
    for (const group of [0, 1]) await sessions.offer(2, owned(group));
    const secrets = [newSessionKey(), newSessionKey()];
    const taken = await sessions.take(2, undefined, secrets);
    expect(taken).toMatchObject({ group: '0', sessions: secrets.map((key) => ({ key })) });
    expect(await sessions.take(2, undefined, secrets)).toEqual(taken);
    expect(await sessions.take(2)).toMatchObject({ group: '1' });
    expect(await sessions.take(2)).toBeNull();
  });

  it('hands a group to one of many that ask at once', async () => {
    const { sessions } = await newRun();
    await sessions.offer(1, owned(0));
    await sessions.offer(1, owned(1));
    const taken = await Promise.all(Array.from({ length: 8 }, () => sessions.take(1)));
    expect(taken.flatMap((one) => one?.group ?? []).sort()).toEqual(['0', '1']);
  });

  it('knows what it was told before: a reward until the end, the end once, and nothing of others', async () => {
    const { sessions } = await newRun();
    await sessions.offer(2, owned(0));
    expect([await sessions.setReward('0-0', 1), await sessions.end('0-0')]).toEqual(['unknown', 'unknown']);
    expect((await sessions.standing('0', 'first'))!.takenForMs).toBeNull();
    await sessions.take(2);
    expect(await sessions.setReward('0-0', 1)).toBe('kept');
    expect(await sessions.setReward('0-0', -0.25)).toBe('kept');
    expect([await sessions.end('0-0'), await sessions.end('0-0')]).toEqual(['kept', 'over']);
    expect(await sessions.setReward('0-0', 1)).toBe('over');
    expect(await sessions.byId('0-0')).toMatchObject({ state: 'ended', reward: -0.25 });
    const { takenForMs, sessions: standing } = (await sessions.standing('0', 'first'))!;
    expect(takenForMs).toBeGreaterThanOrEqual(0);
    expect(standing).toEqual([
      { hasEnded: true, reward: -0.25 },
      { hasEnded: false, reward: null },
    ]);
    for (const id of ['0-2', '5-0', '0', '0-x', '../run-0'])
      expect([await sessions.end(id), await sessions.byId(id), await sessions.calls(id)]).toEqual([
        ...['unknown', null, []],
      ]);
  });

  it('keeps calls in order for the owner of the group alone, and none once the session is over', async () => {
    const { sessions } = await newRun();
    await sessions.offer(1, owned(0));
    await sessions.take(1);
    expect(await sessions.keep('0-0', 'first', 0, [call('a')])).toBeNull();
    expect(await sessions.keep('0-0', 'first', 0, [call('a')])).toBeNull();
    // Redis went back: what comes next is not the next one.
    expect(await sessions.keep('0-0', 'first', 3, [call('d')])).toBe(1);
    expect(await sessions.keep('0-0', 'first', 1, [call('b'), call('c')])).toBeNull();
    await sessions.offer(1, owned(0, 'second'));
    await expect(sessions.keep('0-0', 'first', 3, [call('late')])).rejects.toMatchObject({
      code: 'TRANSIENT_SESSION_LOST',
    });
    expect(await sessions.standing('0', 'first')).toBeNull();
    expect(await sessions.byId('0-0')).toMatchObject({ state: 'open', replica: 'policy-of-second' });
    expect(await sessions.take(1)).toBeNull();
    expect(await sessions.calls('0-0')).toEqual(['a', 'b', 'c'].map(call));
    await sessions.end('0-0');
    // One that is kept already may be said again; its answer was lost with the connection.
    expect(await sessions.keep('0-0', 'second', 2, [call('c')])).toBeNull();
    await expect(sessions.keep('0-0', 'second', 3, [call('d')])).rejects.toMatchObject({
      code: 'CONFLICT_SESSION_OVER',
    });
    expect(await sessions.calls('0-0')).toHaveLength(3);
  });

  it('gives agents that are started new keys; those before, their calls and rewards are void', async () => {
    const { sessions } = await newRun();
    const before = await sessions.open(2, owned(0));
    await sessions.keep('0-1', 'first', 0, [call('a')]);
    await sessions.setReward('0-1', 1);
    await sessions.end('0-1');
    const after = await sessions.open(2, owned(0, 'second'));
    expect(await sessions.byKey(hashOfKey(before[1]!))).toMatchObject({ sessionId: '0-1', state: 'ended' });
    expect(await sessions.byKey(hashOfKey(after[1]!))).toMatchObject({ state: 'open', reward: null });
    expect([await sessions.calls('0-1'), await sessions.take(2)]).toEqual([[], null]);
  });

  it.each<[string, (state: RunState) => Promise<unknown>]>([
    ['published', (state) => state.publishGroup(0, Buffer.from('episodes'))],
    ['given up', (state) => state.rejectGroup({ index: 0 }, 'failed', failure)],
  ])(
    'forgets the sessions of a group that is %s, and tells its agents that they are over',
    async (_, leave) => {
      const state = await newRun();
      const { sessions, keys } = state;
      await sessions.offer(1, owned(0));
      const { sessions: taken } = (await sessions.take(1))!;
      await sessions.keep('0-0', 'first', 0, [call('a')]);
      await sessions.offer(1, owned(1));
      await leave(state);
      expect(await redis.exists(keys.sessions('0'))).toBe(0);
      expect(await sessions.byId('0-0')).toBeNull();
      expect(await sessions.byKey(hashOfKey(taken[0]!.key))).toMatchObject({
        sessionId: '0-0',
        state: 'ended',
      });
      await expect(sessions.keep('0-0', 'first', 1, [call('b')])).rejects.toThrow('not at this policy');
      expect(await sessions.standing('0', 'first')).toBeNull();
      await expect(sessions.offer(1, owned(0, 'late'))).rejects.toMatchObject({ code: 'CANCELLED' });
      await expect(sessions.open(1, owned(0, 'late'))).rejects.toMatchObject({ code: 'CANCELLED' });
      expect(await sessions.take(1)).toMatchObject({ group: '1' });
    },
  );

  it('forgets an offer with its group, and the sessions of an evaluation when told to', async () => {
    const state = await newRun();
    const { sessions, keys } = state;
    await sessions.offer(1, owned(0));
    await state.rejectGroup({ index: 0 }, 'failed', failure);
    expect([await redis.zcard(keys.sessionOffers), await sessions.take(1)]).toEqual([0, null]);
    const [key] = await sessions.open(1, owned('v3-0-2'));
    expect(await sessions.byKey(hashOfKey(key!))).toMatchObject({ sessionId: 'v3-0-2-0', state: 'open' });
    await sessions.remove('v3-0-2', 'another');
    expect(await sessions.byId('v3-0-2-0')).not.toBeNull();
    await sessions.remove('v3-0-2', 'first');
    expect(await sessions.byId('v3-0-2-0')).toBeNull();
    expect(await redis.lrange(keys.sessionKeysOver, 0, -1)).toEqual([hashOfKey(key!)]);
  });

  it('forgets the oldest keys of groups that are over', async () => {
    const { sessions, keys } = await newRun();
    const first = await sessions.open(1, owned('e-0'));
    await sessions.remove('e-0', 'first');
    await redis.rpush(keys.sessionKeysOver, ...Array.from({ length: 9_999 }, (_, i) => `older-${i}`));
    const second = await sessions.open(1, owned('e-1'));
    await sessions.remove('e-1', 'first');
    expect(await redis.llen(keys.sessionKeysOver)).toBe(10_000);
    expect(await sessions.byKey(hashOfKey(first[0]!))).toBeNull();
    expect(await sessions.byKey(hashOfKey(second[0]!))).toMatchObject({ state: 'ended' });
  });

  it('goes with its run', async () => {
    const state = await newRun();
    await state.sessions.open(1, owned(0));
    await state.remove();
    expect(await redis.keys(`forge:{${state.runId}}:*`)).toEqual([]);
  });
});
