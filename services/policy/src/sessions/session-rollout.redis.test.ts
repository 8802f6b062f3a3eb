import { createHash } from 'node:crypto';
import { RunState, hashOfKey, type Redis, type TakenGroup } from '@forge/broker';
import {
  decode,
  groupSchema,
  type ChatMessage,
  type Group,
  type RolloutJob,
  type SessionAnswer,
  type SessionCall,
  type TelemetryEvent,
} from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import type { RunAgent } from './run-agent';
import { agentRecipe, scriptedJobs } from './scripted-jobs.fixture';
import type { SessionTable } from './session-table';

let server: TestRedis;
let redis: Redis;
let runs = 0;
const states: RunState[] = [];
beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
afterAll(async () => {
  for (const state of states) state.close();
  await server.stop();
});

const sample = { id: 's5', prompt: '2+3=', answer: '5' };
const user = (content: string): ChatMessage => ({ role: 'user', content });
const job = (index: number): RolloutJob => ({
  ...{ kind: 'rollout', schemaVersion: 1, index, minVersion: 0, sample },
});
/** A run with groups in flight, and policies of it that draw a token which the id of the draw decides. */
async function newRun(rollout: object, rewards?: object[]) {
  const state = new RunState(redis, `session-rollout-${runs++}`);
  states.push(state);
  const recipe = agentRecipe(rollout, rewards);
  await state.create(recipe, { maxStaleness: 1, candidatesPerBatch: 2, steps: 5 });
  await state.admit(4);
  const drawn: string[] = [];
  const scored: string[] = [];
  const events: TelemetryEvent[] = [];
  let holding: Promise<void> = Promise.resolve();
  /** A policy replica; `run` starts agents, else agents elsewhere take the sessions. */
  const policy = (replica: string, run?: RunAgent) =>
    scriptedJobs({
      ...{ state, recipe, replica, run },
      onDraw: async (id) => {
        drawn.push(id);
        await holding;
      },
      onScore: (text) => scored.push(text),
      onEvent: (event) => events.push(event),
    });
  /** Waits for a group and takes it. */
  const taken = (): Promise<TakenGroup> => waitFor('an offer', () => state.sessions.take(2));
  const published = async (): Promise<Group[]> =>
    (await state.readGroups('test', 10, 0)).map(({ payload }) => decode(groupSchema, payload, 'group'));
  const hold = (): (() => void) => {
    let release = (): void => undefined;
    holding = new Promise((resolve) => (release = resolve));
    return () => {
      holding = Promise.resolve();
      release();
    };
  };
  return { state, recipe, policy, taken, published, drawn, scored, events, hold };
}

function callOf(sessionId: string, messages: ChatMessage[], isRetry = false): SessionCall {
  const digest = createHash('sha256').update(JSON.stringify(messages)).digest('hex');
  return { sessionId, digest, isRetry, messages, tools: [] };
}

/** Tokens and mask of the episodes of a group, by rollout. */
const trained = ({ episodes }: Group) =>
  episodes.map(({ rollout, tokenIds, mask }) => [rollout, [...tokenIds], [...mask]]);

/** Ends sessions as a gateway does: for good, then it tells the policy. */
async function end({ sessions }: RunState, table: SessionTable, ...ids: string[]): Promise<void> {
  for (const id of ids) {
    await sessions.end(id);
    table.ended(id);
  }
}

/** Asks twice, the second time with the answer to the first. */
async function twoTurns(ask: (messages: ChatMessage[]) => Promise<SessionAnswer>): Promise<void> {
  const { message } = await ask([user('a')]);
  await ask([user('a'), message, user('bc')]);
}

describe('sessions of agents elsewhere', () => {
  it('become the rollouts of a group, with the rewards agents gave, else those of the recipe', async () => {
    const { state, policy, taken, published, scored, drawn } = await newRun({ sessions: true });
    const { table, jobs } = policy('policy-0');
    const handled = jobs.handle(job(0));
    const { sessions, sample: given } = await taken();
    expect(given).toEqual(sample);
    const [first, second] = sessions.map(({ sessionId }) => sessionId);
    await twoTurns((messages) => table.answer(callOf(first!, messages)));
    // A helper of the second agent begins a conversation of its own.
    const last = await table.answer(callOf(second!, [user('x')]));
    const helper = await table.answer(callOf(second!, [{ role: 'system', content: 'Help.' }, user('y')]));
    await state.sessions.setReward(first!, -0.5);
    await end(state, table, first!, second!);
    await handled;
    const [group] = await published();
    expect(group!.episodes.map(({ rollout, reward, rewards }) => [rollout, reward, rewards])).toEqual([
      [0, -0.5, { agent: -0.5 }],
      [1, 0.25, { exact: 0.25 }],
      [1, 0.25, { exact: 0.25 }],
    ]);
    expect(scored).toEqual([helper.completion.text]);
    expect(last.completion.text).not.toBe(helper.completion.text);
    expect(drawn).toEqual(['0-s0-c0-0', '0-s0-c0-1', '0-s1-c0-0', '0-s1-c1-0']);
    expect(group!.weightHashes).toEqual({ '0': '0'.repeat(64) });
    // The session is over, and a call of it finds nothing here.
    expect(await state.sessions.byKey(hashOfKey(sessions[0]!.key))).toMatchObject({ state: 'ended' });
    await expect(table.answer(callOf(first!, [user('z')]))).rejects.toMatchObject({
      code: 'TRANSIENT_SESSION_LOST',
    });
  });

  it('go on at another policy from the calls that were kept, as if theirs had not died', async () => {
    const undisturbed = await newRun({ sessions: true });
    const died = await newRun({ sessions: true });
    const groups = await Promise.all(
      [undisturbed, died].map(async (run) => {
        const first = run.policy('policy-0');
        let handled = first.jobs.handle(job(0));
        const { sessions } = await run.taken();
        let { table } = first;
        for (const { sessionId } of sessions) {
          const { message } = await table.answer(callOf(sessionId, [user('a')]));
          const next = [user('a'), message, user('bc')];
          if (run === died && sessionId === '0-0') {
            // The policy is gone, with a call under way that the client sends again.
            const release = run.hold();
            const lost = first.table.answer(callOf(sessionId, next));
            const outcome = lost.catch((error: unknown) => ForgeError.from(error).code);
            await waitFor('the draw', () => run.drawn.length === 2);
            handled.catch(() => undefined);
            const second = run.policy('policy-1');
            handled = second.jobs.handle(job(0));
            await waitFor(
              'its successor',
              async () => (await run.state.sessions.byId('0-0'))!.replica === 'policy-1',
            );
            release();
            // Answers that the first one draws now are told to nobody.
            expect(await outcome).toBe('TRANSIENT_SESSION_LOST');
            ({ table } = second);
            const again = await table.answer(callOf(sessionId, [user('a')], true));
            expect(again.message).toEqual(message);
          }
          await table.answer(callOf(sessionId, next, run === died));
        }
        // Nobody tells the policy: it sees for itself.
        for (const { sessionId } of sessions) await run.state.sessions.end(sessionId);
        await handled;
        const published = await run.published();
        expect(published).toHaveLength(1);
        return published[0]!;
      }),
    );
    expect(trained(groups[1]!)).toEqual(trained(groups[0]!));
    expect(groups.map(({ replica }) => replica)).toEqual(['policy-0', 'policy-1']);
    expect(groups[1]!.weightHashes).toEqual(groups[0]!.weightHashes);
  });

  it('are handed back by a policy that drains, at once', async () => {
    const { state, policy, taken } = await newRun({ sessions: true });
    const { table, jobs } = policy('policy-0');
    const handled = jobs.handle(job(0));
    const { sessions } = await taken();
    await table.answer(callOf(sessions[0]!.sessionId, [user('a')]));
    jobs.handBack();
    await expect(handled).rejects.toMatchObject({ code: 'CANCELLED' });
    await waitFor('the seats to be free', () =>
      table.answer(callOf('0-0', [user('b')])).then(
        () => false,
        (error: unknown) => ForgeError.from(error).is('TRANSIENT_SESSION_LOST'),
      ),
    );
    const next = policy('policy-1');
    const again = next.jobs.handle(job(0));
    await waitFor('the next', async () => (await state.sessions.byId('0-0'))!.replica === 'policy-1');
    for (const { sessionId } of sessions) await next.table.answer(callOf(sessionId, [user('c')]));
    await end(state, next.table, '0-0', '0-1');
    await again;
  });

  it('end an attempt at the same job that another one has replaced', async () => {
    const { state, policy, taken } = await newRun({ sessions: true });
    const first = policy('policy-0').jobs.handle(job(0));
    const ended = first.catch((error: unknown) => ForgeError.from(error));
    await taken();
    const second = policy('policy-1');
    const handled = second.jobs.handle(job(0));
    expect(await ended).toMatchObject({ code: 'CANCELLED', message: /another attempt/ });
    for (const id of ['0-0', '0-1']) await second.table.answer(callOf(id, [user('a')]));
    await end(state, second.table, '0-0', '0-1');
    await handled;
  });

  it('are given up when one does not end in time, counted from when they were taken', async () => {
    const { state, policy, taken } = await newRun({ sessions: true, timeLimitMs: 1 });
    const looks = jest.spyOn(state.sessions, 'standing');
    const over = policy('policy-0').jobs.handle(job(0));
    const outcome = over.catch((error: unknown) => error);
    await waitFor('two looks', () => looks.mock.calls.length >= 2);
    await taken();
    expect(await outcome).toMatchObject({
      code: 'CAPACITY_SESSION_LIMIT',
      message: 'session 0-0 did not end within 1 ms (rollout.timeLimitMs)',
    });
  });

  it('fail their group where there is nothing to train on, or nothing that judges it', async () => {
    const { state, policy, taken } = await newRun({ sessions: true }, []);
    const { table, jobs } = policy('policy-0');
    const silent = jobs.handle(job(0));
    await taken();
    await end(state, table, '0-0', '0-1');
    await expect(silent).rejects.toMatchObject({ code: 'CONFLICT_STATE', message: /without a call/ });
    const unjudged = jobs.handle(job(1));
    await taken();
    await table.answer(callOf('1-1', [user('a')]));
    await end(state, table, '1-0', '1-1');
    await expect(unjudged).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: /session 1-1 ended without a reward, and the recipe has no rewards/,
    });
  });

  it('leave out a rollout whose agent made no call', async () => {
    const { state, policy, taken, published } = await newRun({ sessions: true });
    const { table, jobs } = policy('policy-0');
    const handled = jobs.handle(job(0));
    await taken();
    await table.answer(callOf('0-1', [user('a')]));
    await end(state, table, '0-0', '0-1');
    await handled;
    expect((await published())[0]!.episodes.map(({ rollout }) => rollout)).toEqual([1]);
  });

  it('are cut off by the limits of the recipe', async () => {
    const { state, policy, taken, published } = await newRun({ sessions: true, maxTurns: 1 });
    const { table, jobs } = policy('policy-0');
    const handled = jobs.handle(job(0));
    await taken();
    for (const id of ['0-0', '0-1']) await table.answer(callOf(id, [user('a')]));
    await expect(table.answer(callOf('0-1', [user('b')]))).rejects.toMatchObject({
      code: 'CAPACITY_SESSION_LIMIT',
    });
    await end(state, table, '0-0', '0-1');
    await handled;
    expect((await published())[0]!.episodes.map(({ end }) => end)).toEqual([undefined, 'turns']);
  });
});

describe('agents that a policy starts', () => {
  const command = ['node', 'agent.mjs'];

  /** An agent that takes two turns and then gives what `reward` says. */
  const agent =
    (
      { state, tables }: { state: RunState; tables: SessionTable[] },
      reward: (id: string) => number | null = () => 1,
    ): RunAgent =>
    async ({ key }) => {
      const { sessionId } = (await state.sessions.byKey(hashOfKey(key)))!;
      await twoTurns((messages) => tables.at(-1)!.answer(callOf(sessionId, messages)));
      return { reward: reward(sessionId), stderr: `${sessionId} is done\n` };
    };

  it('are started for each rollout with their sample, and are judged by themselves or by the recipe', async () => {
    const { state, policy, published, drawn } = await newRun({ command });
    const tables: SessionTable[] = [];
    const started: unknown[] = [];
    const run = agent({ state, tables }, (id) => (id === '0-0' ? 0.75 : null));
    const { table, jobs } = policy('policy-0', (one) => {
      started.push([one.baseUrl, one.sample.id, one.key.startsWith('sk-forge-')]);
      return run(one);
    });
    tables.push(table);
    await jobs.handle(job(0));
    expect(started).toEqual(Array(2).fill(['http://gateway', 's5', true]));
    const [group] = await published();
    expect(group!.episodes.map(({ rewards }) => rewards)).toEqual([{ agent: 0.75 }, { exact: 0.25 }]);
    expect(group!.episodes.map(({ conversation }) => conversation!.at(-1))).toEqual([
      { role: 'agent', text: '0-0 is done' },
      { role: 'agent', text: '0-1 is done' },
    ]);
    expect([...drawn].sort()).toEqual(['0-s0-c0-0', '0-s0-c0-1', '0-s1-c0-0', '0-s1-c0-1']);
  });

  it('begin anew when their policy dies, and draw the same', async () => {
    const run = await newRun({ command });
    const { state, policy, published } = run;
    const tables: SessionTable[] = [];
    const keys: string[] = [];
    let isStuck = true;
    const acting = agent({ state, tables });
    const starting: RunAgent = async (one) => {
      keys.push(one.key);
      const outcome = await acting(one);
      return isStuck ? new Promise<never>(() => undefined) : outcome;
    };
    const first = policy('policy-0', starting);
    tables.push(first.table);
    void first.jobs.handle(job(0));
    await waitFor('their calls', () => run.drawn.length === 4);
    const before = await waitFor('kept calls', async () => {
      const calls = await state.sessions.calls('0-1');
      return calls.length === 2 ? calls : undefined;
    });
    isStuck = false;
    const second = policy('policy-1', starting);
    tables.push(second.table);
    await second.jobs.handle(job(0));
    expect(run.drawn).toHaveLength(8);
    expect([...run.drawn.slice(4)].sort()).toEqual([...run.drawn.slice(0, 4)].sort());
    const [group, ...others] = await published();
    expect(others).toEqual([]);
    const tokens = before.map(({ answer }) => answer.completion.tokenIds).flat();
    const again = group!.episodes.find(({ rollout }) => rollout === 1)!;
    expect([...again.tokenIds].filter((_, t) => again.mask[t] === 1)).toEqual(tokens);
    for (const key of keys)
      expect(await state.sessions.byKey(hashOfKey(key))).toMatchObject({ state: 'ended' });
  });

  it('fail their group when one of them does, after the others have ended', async () => {
    const { policy } = await newRun({ command });
    const fault = new ForgeError('TRANSIENT_ENVIRONMENT_FAILED', 'exit 3');
    let begun = 0;
    let ended = 0;
    const { jobs } = policy('policy-0', async ({ signal }) => {
      if (begun++ === 1) throw fault;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      ended += 1;
      throw signal.reason as Error;
    });
    await expect(jobs.handle(job(0))).rejects.toBe(fault);
    expect(ended).toBe(1);
  });

  it('that were refused more calls are rollouts which were cut off, though they fail', async () => {
    const { state, policy, published } = await newRun({ command, maxTurns: 1 });
    const tables: SessionTable[] = [];
    const { table, jobs } = policy('policy-0', agent({ state, tables }));
    tables.push(table);
    await jobs.handle(job(0));
    const [group] = await published();
    expect(group!.episodes.map(({ end, rewards }) => [end, rewards])).toEqual(
      Array(2).fill(['turns', { exact: 0.25 }]),
    );
    expect(group!.episodes[0]!.conversation!.at(-1)).toMatchObject({
      role: 'agent',
      text: expect.stringContaining('rollout.maxTurns') as string,
    });
  });

  it('are started for evaluations, too, whose sessions are forgotten then', async () => {
    const { state, policy, events } = await newRun({ command }, []);
    const tables: SessionTable[] = [];
    const { table, jobs } = policy(
      'policy-0',
      agent({ state, tables }, (id) => (id === 'v0-2-1-0' ? 1 : 0)),
    );
    tables.push(table);
    await jobs.handle({
      ...{ kind: 'evaluation', schemaVersion: 1, minVersion: 0, part: 2, parts: 4 },
      samples: [sample, { ...sample, id: 's6' }],
    });
    expect(events).toMatchObject([{ kind: 'evaluation', correct: 1, total: 2 }]);
    expect(await redis.keys(state.keys.sessions('*'))).toEqual([]);
  });
});
