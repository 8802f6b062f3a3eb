import { episodeSchema, type ChatMessage, type Completion, type ForkReason } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { AnswerToParse, BridgeRequest, RenderRequest } from './chat-policy';
import { policyHandle, type NumberedCall } from './policy-handle';

const END = 99;

/** Answer of a policy whose tokens are numbers: a call when it begins with 7. */
function parsed({ tokenIds, callIds }: AnswerToParse): ChatMessage {
  const content = tokenIds.join(' ');
  if (tokenIds[0] !== 7) return { role: 'assistant', content };
  return { role: 'assistant', content, toolCalls: [{ id: `${callIds}-0`, name: 'add', arguments: {} }] };
}

interface Setup {
  /** Tokens of the answers in turn. */
  answers: number[][];
  /** Reasons of forks by the number of messages before. */
  forks?: Record<number, ForkReason>;
  positions?: number;
}

/** A policy that renders a message as its length, and is asked for greedy answers. */
function policy({ answers, forks = {}, positions = Infinity }: Setup) {
  const asked: NumberedCall[] = [];
  const bridged: BridgeRequest[] = [];
  const counted: string[] = [];
  let now = 0;
  let answer = 0;
  const rendered = (messages: readonly ChatMessage[]): number[] =>
    messages.map(({ content }) => content.length);
  const generate = (call: NumberedCall): Promise<Completion[]> => {
    asked.push(call);
    const { tokenIds: promptTokenIds } = call.prompt as { tokenIds: number[] };
    const room = positions - promptTokenIds.length;
    if (room <= 0) return Promise.reject(new ForgeError('CAPACITY_PROMPT_TOO_LONG', 'full'));
    const whole = answers[answer++]!;
    const tokenIds = whole.slice(0, Math.min(room, call.sampling.maxTokens ?? Infinity));
    const completion: Completion = {
      text: tokenIds.join(' '),
      promptTokenIds,
      tokenIds,
      logprobs: tokenIds.map(() => -0.5),
      versions: tokenIds.map(() => 3),
      stopReason: tokenIds.at(-1) === END ? 'end' : 'length',
    };
    return Promise.resolve([completion]);
  };
  const handle = policyHandle({
    id: '4',
    maxTokens: 64,
    clock: () => now,
    count: (metric) => counted.push(metric),
    generate,
    renderChat: ({ messages }: RenderRequest) => Promise.resolve(rendered(messages)),
    bridgeChat: (request) => {
      bridged.push(request);
      const fork = forks[request.before.length];
      if (fork !== undefined) return Promise.resolve({ fork });
      return Promise.resolve({ tokenIds: [...request.tokenIds, ...rendered(request.added)] });
    },
    parseAnswer: (request) => Promise.resolve(parsed(request)),
  });
  const pass = (ms: number): void => {
    now += ms;
  };
  return { handle, asked, bridged, counted, pass };
}

const user = (content: string): ChatMessage => ({ role: 'user', content });
const tool = (content: string): ChatMessage => ({ role: 'tool', content });

describe('a conversation', () => {
  it('continues the tokens that were sampled, with messages as the policy parses them', async () => {
    const { handle, asked, bridged, counted } = policy({
      answers: [
        [7, 8, END],
        [5, END],
      ],
    });
    const tools = [{ name: 'add', description: '', parameters: {} }];
    const chat = handle.conversation([user('abc')], { tools, sampling: { temperature: 0.5 } });
    const first = await chat.next();
    expect(first!.message.toolCalls).toEqual([{ id: 'call-0-0', name: 'add', arguments: {} }]);
    chat.add(tool('four'), tool('fiver'));
    const second = await chat.next({ temperature: 0 });
    expect(second!.message).toEqual({ role: 'assistant', content: '5 99' });
    expect(asked).toEqual([
      { prompt: { tokenIds: [3] }, rolloutIds: ['4-c0-0'], sampling: { temperature: 0.5, maxTokens: 64 } },
      {
        prompt: { tokenIds: [3, 7, 8, END, 4, 5] },
        rolloutIds: ['4-c0-1'],
        sampling: { temperature: 0, maxTokens: 64 },
      },
    ]);
    expect(bridged).toEqual([
      {
        tokenIds: [3, 7, 8, END],
        before: [user('abc'), first!.message],
        added: [tool('four'), tool('fiver')],
        tools,
        keepThinking: undefined,
      },
    ]);
    expect(chat.messages).toEqual([
      user('abc'),
      first!.message,
      tool('four'),
      tool('fiver'),
      second!.message,
    ]);
    expect(chat).toMatchObject({ end: null, forks: [], parts: [[first!.completion, second!.completion]] });
    expect(counted).toEqual(['conversation/turns', 'conversation/turns']);
  });

  it('begins a new part where the template forks, rendered as a whole', async () => {
    const { handle, asked, counted } = policy({
      answers: [
        [1, END],
        [2, END],
        [3, END],
      ],
      forks: { 4: 'template-drops-thinking' },
    });
    const chat = handle.conversation([user('a')]);
    await chat.next();
    chat.add(user('bb'));
    await chat.next();
    chat.add(user('ccc'));
    await chat.next();
    expect(asked.map(({ prompt }) => prompt)).toEqual([
      { tokenIds: [1] },
      { tokenIds: [1, 1, END, 2] },
      { tokenIds: [1, 4, 2, 4, 3] },
    ]);
    expect(chat.parts.map((part) => part.length)).toEqual([2, 1]);
    expect(chat.forks).toEqual(['template-drops-thinking']);
    expect(counted.filter((metric) => metric.includes('fork'))).toEqual([
      'conversation/forks',
      'conversation/fork_reasons/template-drops-thinking',
    ]);
  });

  it('numbers its answers for itself, whatever the order in which conversations go on', async () => {
    const { handle, asked } = policy({
      answers: [
        [1, END],
        [2, END],
        [3, END],
        [4, END],
        [5, END],
      ],
    });
    const [one, other] = [handle.conversation([user('a')]), handle.conversation([user('b')])];
    await other.next();
    await handle.generate({ tokenIds: [1] }, { n: 2 });
    await one.next();
    other.add(user('c'));
    await other.next();
    expect(asked.map(({ rolloutIds }) => rolloutIds)).toEqual([
      ['4-c1-0'],
      ['4-0', '4-1'],
      ['4-c0-0'],
      ['4-c1-1'],
    ]);
  });

  it('takes what is said during an answer as said after it', async () => {
    const { handle, asked } = policy({
      answers: [
        [1, END],
        [2, END],
      ],
    });
    const chat = handle.conversation([user('a')]);
    const answer = chat.next();
    chat.add(user('bb'));
    await answer;
    expect(chat.messages.map(({ content }) => content)).toEqual(['a', '1 99', 'bb']);
    await chat.next();
    expect(asked[1]!.prompt).toEqual({ tokenIds: [1, 1, END, 2] });
  });

  it('refuses a turn that nobody spoke before, and two at a time', async () => {
    const { handle } = policy({ answers: [[1, END]] });
    const chat = handle.conversation([user('a')]);
    const answer = chat.next();
    await expect(chat.next()).rejects.toMatchObject({ code: 'CONFLICT_STATE', message: /still under way/ });
    await answer;
    await expect(chat.next()).rejects.toMatchObject({ code: 'CONFLICT_STATE', message: /nothing was added/ });
  });
});

describe('the end of a conversation', () => {
  const answers = [
    [1, 2, END],
    [3, 4, 5, END],
    [7, END],
    [8, END],
  ];

  /** Talks until the end, for `ms` between two turns. */
  async function talk(setup: Partial<Setup>, options: object, ms = 0) {
    const { handle, pass, asked } = policy({ answers, ...setup });
    const chat = handle.conversation([user('a')], options);
    let turns = 0;
    for (; turns < 9 && (await chat.next()) !== null; turns++) {
      chat.add(user('b'));
      pass(ms);
    }
    expect(await chat.next()).toBeNull();
    return { turns, end: chat.end, asked, chat };
  }

  it('comes by turns, once another one is asked for', async () => {
    expect(await talk({}, { maxTurns: 2 })).toMatchObject({ turns: 2, end: 'turns' });
    const { handle } = policy({ answers });
    const chat = handle.conversation([user('a')], { maxTurns: 1 });
    await chat.next();
    expect(chat.end).toBeNull();
  });

  it('comes by tokens, which cut the last answer off', async () => {
    const { asked, chat, ...result } = await talk({}, { maxTokens: 5 });
    expect(result).toEqual({ turns: 2, end: 'tokens' });
    expect(asked.map(({ sampling }) => sampling.maxTokens)).toEqual([5, 2]);
    expect(chat.parts[0]!.map(({ tokenIds }) => tokenIds)).toEqual([
      [1, 2, END],
      [3, 4],
    ]);
    // An answer's own limit ends the answer only.
    const short = await talk({}, { sampling: { maxTokens: 3 }, maxTurns: 3 });
    expect(short).toMatchObject({ turns: 3, end: 'turns' });
  });

  it('comes by the context, in an answer or before one', async () => {
    // 1 + 3 tokens, then 1 + 2 of the 4.
    expect(await talk({ positions: 7 }, {})).toMatchObject({ turns: 2, end: 'context' });
    expect(await talk({ positions: 4 }, {})).toMatchObject({ turns: 1, end: 'context' });
    await expect(talk({ positions: 1 }, {})).rejects.toMatchObject({ code: 'CAPACITY_PROMPT_TOO_LONG' });
  });

  it('comes by time, between two turns', async () => {
    expect(await talk({}, { timeLimitMs: 20 }, 10)).toMatchObject({ turns: 2, end: 'time' });
  });
});

describe('the episodes of a conversation', () => {
  const score = { reward: 1, rewards: { exact: 1 } };

  it('are its parts, with what each turn earned and what was said', async () => {
    const { handle } = policy({
      answers: [
        [7, END],
        [2, 3],
        [4, END],
      ],
      forks: { 4: 'tokens-merge' },
    });
    handle.conversation([user('other')]);
    const chat = handle.conversation([user('a')], { maxTurns: 3, sampling: { maxTokens: 2 } });
    await chat.next();
    chat.add({ ...tool('bb'), name: 'add' });
    await chat.next();
    chat.add(user('ccc'));
    await chat.next();
    chat.add(user('dddd'));
    await chat.next();
    const episodes = chat.episodes(score, [0.25, 0, 0.5]);
    for (const episode of episodes) expect(episodeSchema.safeParse(episode).success).toBe(true);
    const [first, second] = episodes.map((episode) => ({
      ...episode,
      tokenIds: [...episode.tokenIds],
      mask: [...episode.mask],
    }));
    expect(first).toMatchObject({
      tokenIds: [1, 7, END, 2, 2, 3],
      mask: [0, 1, 1, 0, 1, 1],
      reward: 1,
      rollout: 1,
      turns: [
        { end: 3, reward: 0.25 },
        { end: 6, reward: 0 },
      ],
      end: 'turns',
      conversation: [
        { role: 'user', text: 'a' },
        {
          role: 'assistant',
          text: '7 99',
          toolCalls: [{ name: 'add', arguments: '{}' }],
          reward: 0.25,
        },
        { role: 'tool', text: 'bb', name: 'add' },
        { role: 'assistant', text: '2 3', reward: 0 },
      ],
    });
    expect(second).toMatchObject({
      tokenIds: [1, 4, 2, 3, 3, 4, END],
      mask: [0, 0, 0, 0, 0, 1, 1],
      rollout: 1,
      turns: [{ end: 7, reward: 0.5 }],
      conversation: [
        { role: 'user', text: 'ccc', fork: 'tokens-merge' },
        { role: 'assistant', text: '4 99', reward: 0.5 },
        { role: 'user', text: 'dddd' },
      ],
    });
  });

  it('need an answer, and one reward for each', async () => {
    const { handle } = policy({ answers: [[1, END]] });
    const chat = handle.conversation([user('a')]);
    expect(() => chat.episodes(score)).toThrow('conversation: the policy has not answered yet');
    await chat.next();
    expect(() => chat.episodes(score, [1, 2])).toThrow(
      'turnRewards: found 2, expected one for each of the 1 answers',
    );
    expect(chat.episodes(score)[0]).not.toHaveProperty('turns');
    expect(chat.episodes(score)[0]).not.toHaveProperty('end');
  });
});
