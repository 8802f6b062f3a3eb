import { createHash } from 'node:crypto';
import type { ChatMessage, Completion, KeptCall, SessionCall } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { BridgeRequest, RenderRequest } from '../conversation/chat-policy';
import { policyHandle, type NumberedCall } from '../conversation/policy-handle';
import { AgentSession, type CallStore } from './agent-session';

const score = { reward: 1, rewards: { goal: 1 } };
const user = (content: string): ChatMessage => ({ role: 'user', content });
const said = (content: string): ChatMessage => ({ role: 'assistant', content });
const add = { name: 'add', description: '', parameters: {} };
const END = 99;

function callOf(messages: ChatMessage[], fields: Partial<SessionCall> = {}): SessionCall {
  const digest = createHash('sha256').update(JSON.stringify(messages)).digest('hex');
  return { sessionId: '3-1', digest, isRetry: false, messages, tools: [], ...fields };
}

/** A store in memory, which fails or forgets when told to. */
class MemoryStore implements CallStore {
  readonly calls: KeptCall[] = [];
  refuses: ForgeError | null = null;

  keep(position: number, calls: readonly KeptCall[]): Promise<number | null> {
    if (this.refuses !== null) return Promise.reject(this.refuses);
    if (this.calls.length < position) return Promise.resolve(this.calls.length);
    this.calls.splice(position, calls.length, ...calls);
    return Promise.resolve(null);
  }
}

/** A policy that renders a message as its length, and draws a token that its rollout id decides. */
function policy(answerTokens = 64) {
  const drawn: NumberedCall[] = [];
  const held: (() => void)[] = [];
  let isHolding = false;
  const rendered = (messages: readonly ChatMessage[]) => messages.map(({ content }) => content.length);
  const draw = ({ rolloutIds: [id], prompt, sampling }: NumberedCall): Completion => {
    const token = createHash('sha1').update(id!).digest()[0]!;
    const tokenIds = [token, END].slice(0, sampling.maxTokens);
    return {
      ...{ text: tokenIds.join(' '), tokenIds, promptTokenIds: (prompt as { tokenIds: number[] }).tokenIds },
      ...{ logprobs: tokenIds.map(() => -1), versions: tokenIds.map(() => 0) },
      stopReason: tokenIds.at(-1) === END ? 'end' : 'length',
    };
  };
  const generate = async (call: NumberedCall): Promise<Completion[]> => {
    if (call.drawn !== undefined) return call.drawn;
    drawn.push(call);
    if (isHolding) await new Promise<void>((resolve) => held.push(resolve));
    return [draw(call)];
  };
  const setting = (store: CallStore, limits: { maxTurns?: number; maxTokens?: number } = {}) => ({
    ...{ store, answerTokens, ...limits },
    conversations: (before: readonly (readonly Completion[])[]) =>
      policyHandle({
        ...{ id: '3-s1', drawn: before, maxTokens: 64, clock: () => 0, count: () => undefined, generate },
        renderChat: ({ messages }: RenderRequest) => Promise.resolve(rendered(messages)),
        bridgeChat: ({ tokenIds, added }: BridgeRequest) =>
          Promise.resolve({ tokenIds: [...tokenIds, ...rendered(added)] }),
        parseAnswer: ({ tokenIds }) => Promise.resolve(said(tokenIds.join(' '))),
      }).conversation,
  });
  return { setting, drawn, held, hold: (hold: boolean) => (isHolding = hold) };
}

async function begun(limits: { maxTurns?: number; maxTokens?: number } = {}, answerTokens?: number) {
  const model = policy(answerTokens);
  const store = new MemoryStore();
  const session = await AgentSession.resume(model.setting(store, limits));
  return { ...model, store, session };
}

/** Tokens and mask of the episodes of a session that ends now. */
async function trained(session: AgentSession) {
  const concluded = await session.conclude();
  return concluded.episodes(score, 1).map(({ tokenIds, mask }) => [[...tokenIds], [...mask]]);
}

describe('AgentSession', () => {
  it('continues the conversation that a call repeats, however the client writes its answers', async () => {
    const { session } = await begun();
    const first = await session.answer(callOf([user('a')]));
    const again = said(` ${first.message.content}\n`);
    const second = await session.answer(callOf([user('a'), again, user('bc')]));
    const { last, episodes } = await session.conclude();
    expect(last).toEqual(second.completion);
    const [one, ...others] = episodes(score, 1);
    expect(others).toEqual([]);
    expect(one).toMatchObject({ rollout: 1, reward: 1, rewards: { goal: 1 } });
    const [a, b] = [first, second].map(({ completion }) => completion.tokenIds[0]!);
    expect([...one!.tokenIds]).toEqual([1, a, END, 2, b, END]);
    expect([...one!.mask]).toEqual([0, 1, 1, 0, 1, 1]);
  });

  it('knows answers again that were told up to a stop string, also in another process', async () => {
    const { session, setting, store } = await begun();
    const stop = [` ${END}`];
    const first = await session.answer(callOf([user('a')], { stop }));
    const told = said(first.message.content.split(' ')[0]!);
    const resumed = await AgentSession.resume(setting(store), store.calls);
    for (const one of [session, resumed]) {
      await one.answer(callOf([user('a'), told, user('bc')]));
      expect(await trained(one)).toHaveLength(1);
    }
  });

  it('knows an answer again of which a client took the first call alone, and no other one', async () => {
    const call = (n: number) => ({ id: `c${n}`, name: 'add', arguments: { n } });
    const message: ChatMessage = { role: 'assistant', content: '', toolCalls: [call(1), call(2)] };
    const model = policy();
    const setting = model.setting(new MemoryStore());
    const session = await AgentSession.resume({
      ...setting,
      conversations: (drawn) => (messages, options) => {
        const conversation = setting.conversations(drawn)(messages, options);
        const next = conversation.next.bind(conversation);
        conversation.next = async (sampling) => {
          const turn = await next(sampling);
          Object.assign(conversation.messages.at(-1)!, message);
          return turn;
        };
        return conversation;
      },
    });
    await session.answer(callOf([user('a')]));
    const result = (id: string): ChatMessage => ({ role: 'tool', content: '3', toolCallId: id });
    await session.answer(callOf([user('a'), { ...message, toolCalls: [call(1)] }, result('c1')]));
    expect(await trained(session)).toHaveLength(1);
    const other = await AgentSession.resume(setting);
    await other.answer(callOf([user('a')]));
    await other.answer(callOf([user('a'), { ...message, toolCalls: [call(2)] }, result('c2')]));
    expect(await trained(other)).toHaveLength(2);
  });

  it('begins a conversation for a helper, other tools or a history that was changed, as parts of one rollout', async () => {
    const { session, store } = await begun();
    await session.answer(callOf([user('a')]));
    const helper = await session.answer(callOf([{ role: 'system', content: 'Help.' }, user('b')]));
    await session.answer(callOf([user('a'), said('other'), user('b')]));
    await session.answer(callOf([user('a')], { tools: [add] }));
    const onward = [{ role: 'system' as const, content: 'Help.' }, user('b'), helper.message, user('c')];
    await session.answer(callOf(onward));
    expect(store.calls.map(({ talk }) => talk)).toEqual([0, 1, 2, 3, 1]);
    expect(store.calls.map(({ added }) => added.length)).toEqual([1, 2, 3, 1, 1]);
    const episodes = (await session.conclude()).episodes(score, 1);
    expect(episodes.map(({ rollout }) => rollout)).toEqual([1, 1, 1, 1]);
    expect(episodes.map(({ mask }) => mask.reduce((sum, one) => sum + one, 0))).toEqual([2, 4, 2, 2]);
  });

  it('answers helpers that ask at once side by side, and keeps their calls in the order of the answers', async () => {
    const { session, store, hold, held } = await begun();
    hold(true);
    const [one, two] = ['a', 'b'].map((text) => session.answer(callOf([user(text)])));
    expect(held).toHaveLength(0);
    await new Promise(setImmediate);
    expect(held).toHaveLength(2);
    held[1]!();
    await two;
    held[0]!();
    await one;
    expect(store.calls.map(({ talk }) => talk)).toEqual([1, 0]);
  });

  it('answers what a client sends again from what was kept, or is under way, and draws nothing', async () => {
    const { session, drawn, store } = await begun();
    const [one, same] = await Promise.all([
      session.answer(callOf([user('a')])),
      session.answer(callOf([user('a')], { isRetry: true })),
    ]);
    expect(same).toBe(one);
    expect(await session.answer(callOf([user('a')], { isRetry: true }))).toEqual(one);
    expect([drawn.length, store.calls.length]).toEqual([1, 1]);
    // Without the word of the client it is a call of its own.
    await session.answer(callOf([user('a')]));
    expect([drawn.length, store.calls.length]).toEqual([2, 2]);
    expect(await trained(session)).toHaveLength(2);
  });

  it('goes on in another process from the calls that were kept as if it had never ended', async () => {
    const { session, store, setting, drawn, hold, held } = await begun();
    const whole = await begun();
    const talk = async (one: AgentSession) => {
      const first = await one.answer(callOf([user('a')], { maxTokens: 5 }));
      await one.answer(callOf([user('helper')], { tools: [add] }));
      return [user('a'), first.message, user('b')];
    };
    const history = await talk(session);
    expect(await talk(whole.session)).toEqual(history);
    // The process dies with a call under way.
    hold(true);
    void session.answer(callOf(history));
    await new Promise(setImmediate);
    expect(held).toHaveLength(1);
    hold(false);
    const before = drawn.length;
    const resumed = await AgentSession.resume(setting(store), store.calls);
    expect(drawn).toHaveLength(before);
    const kept = await resumed.answer(callOf([user('a')], { isRetry: true, maxTokens: 5 }));
    expect(kept.message).toEqual(history[1]);
    for (const one of [resumed, whole.session]) await one.answer(callOf(history, { isRetry: true }));
    expect(drawn).toHaveLength(before + 1);
    expect(store.calls).toEqual(whole.store.calls);
    expect(await trained(resumed)).toEqual(await trained(whole.session));
  });

  it('leaves the place of a conversation whose first answer was lost, so that others keep theirs', async () => {
    const { session, store, setting, hold, held } = await begun();
    hold(true);
    void session.answer(callOf([user('a')]));
    const second = session.answer(callOf([user('b')]));
    await new Promise(setImmediate);
    held[1]!();
    const { message } = await second;
    hold(false);
    const resumed = await AgentSession.resume(setting(store), store.calls);
    await resumed.answer(callOf([user('b'), message, user('c')]));
    await resumed.answer(callOf([user('a')], { isRetry: true }));
    expect(store.calls.map(({ talk }) => talk)).toEqual([1, 1, 2]);
    expect(await trained(resumed)).toHaveLength(2);
  });

  it('goes on where it was after an answer that failed', async () => {
    const { session, setting, store } = await begun();
    const { message } = await session.answer(callOf([user('a')]));
    const failing = setting(store);
    const broken = policyThatFailsOnce(failing);
    const resumed = await AgentSession.resume(broken, store.calls);
    const call = callOf([user('a'), message, user('b')]);
    await expect(resumed.answer(call)).rejects.toMatchObject({ code: 'TRANSIENT_TIMEOUT' });
    await resumed.answer({ ...call, isRetry: true });
    expect(store.calls.map(({ talk }) => talk)).toEqual([0, 0]);
    expect(store.calls[1]!.added).toEqual([user('b')]);
  });

  it('says again what a store that went back has forgotten', async () => {
    const { session, store } = await begun();
    const { message } = await session.answer(callOf([user('a')]));
    const next = await session.answer(callOf([user('a'), message, user('b')]));
    const calls = [...store.calls];
    store.calls.length = 0;
    await session.answer(callOf([user('a'), message, user('b'), next.message, user('c')]));
    expect(store.calls.slice(0, 2)).toEqual(calls);
    expect(store.calls).toHaveLength(3);
  });

  it('trains nothing that it could not keep, and refuses calls once it is over', async () => {
    const { session, store, drawn } = await begun();
    const { message } = await session.answer(callOf([user('a')]));
    store.refuses = new ForgeError('CONFLICT_SESSION_OVER', 'over');
    const late = session.answer(callOf([user('a'), message, user('b')]));
    const ending = session.conclude();
    await expect(late).rejects.toMatchObject({ code: 'CONFLICT_SESSION_OVER' });
    await expect(session.answer(callOf([user('c')]))).rejects.toMatchObject({
      code: 'CONFLICT_SESSION_OVER',
    });
    const { last, episodes } = await ending;
    expect(last!.text).toBe(message.content);
    expect(episodes(score, 1).map(({ tokenIds }) => tokenIds.length)).toEqual([3]);
    expect(drawn).toHaveLength(2);
  });

  it('has no answer and no episode without a call', async () => {
    const { session } = await begun();
    const { last, episodes } = await session.conclude();
    expect([last, episodes(score, 1)]).toEqual([null, []]);
  });

  it.each([
    [{ maxTurns: 1 }, 'turns', 'rollout.maxTurns'],
    [{ maxTokens: 2 }, 'tokens', 'rollout.maxTokens'],
  ])('refuses what is beyond %j, and is then a rollout that was cut off', async (limits, end, field) => {
    const { session } = await begun(limits);
    await session.answer(callOf([user('a')]));
    expect(session.isCutOff).toBe(false);
    const refused = session.answer(callOf([user('b')]));
    await expect(refused).rejects.toMatchObject({ code: 'CAPACITY_SESSION_LIMIT', details: { limit: end } });
    await expect(refused).rejects.toThrow(field);
    expect(session.isCutOff).toBe(true);
    expect((await session.conclude()).episodes(score, 1)).toMatchObject([{ end }]);
  });

  it('draws as many tokens as client, run and rollout allow, whichever is least', async () => {
    const { session, drawn } = await begun({ maxTokens: 5 }, 3);
    await session.answer(callOf([user('a')], { maxTokens: 1, stop: ['.'] }));
    await session.answer(callOf([user('b')], { maxTokens: 9 }));
    await session.answer(callOf([user('c')]));
    expect(drawn.map(({ sampling }) => sampling)).toEqual([
      { maxTokens: 1, stop: ['.'] },
      { maxTokens: 3 },
      { maxTokens: 2 },
    ]);
  });
});

/** The setting with a policy that fails at its first new completion. */
function policyThatFailsOnce(setting: ReturnType<ReturnType<typeof policy>['setting']>): typeof setting {
  let hasFailed = false;
  return {
    ...setting,
    conversations: (before) => {
      const open = setting.conversations(before);
      return (...args) => {
        const conversation = open(...args);
        const next = conversation.next.bind(conversation);
        let turns = 0;
        conversation.next = (sampling) => {
          if (turns++ < (before[0]?.length ?? 0) || hasFailed) return next(sampling);
          hasFailed = true;
          return Promise.reject(new ForgeError('TRANSIENT_TIMEOUT', 'late'));
        };
        return conversation;
      };
    },
  };
}
