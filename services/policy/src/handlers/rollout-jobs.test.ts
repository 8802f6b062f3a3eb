import { recipeSchema, rolloutSchema } from '@forge/config';
import { decode, groupSchema, type Group, type RolloutJob, type TelemetryEvent } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { defaultRollout, episode, type Rollout, type RolloutContext } from '@forge/rl';
import { RolloutJobs, type GenerateCall, type RolloutJobsOptions } from './rollout-jobs';

const recipe = recipeSchema.parse({
  name: 'test',
  model: 'models/none',
  steps: 1,
  task: { kind: 'arithmetic' },
  algorithm: { name: 'grpo', groupSize: 2 },
  sampling: { temperature: 0.7, topK: 3 },
  rewards: [{ name: 'exact' }],
  output: { sampleRollouts: 1 },
});
const sample = { id: 's5', prompt: '2+3=', answer: '5' };
const rollout = (index: number): RolloutJob => ({
  kind: 'rollout',
  schemaVersion: 1,
  index,
  minVersion: 4,
  sample,
});

const unasked = () => Promise.reject(new Error('not asked for'));
const noChat = { renderChat: unasked, bridgeChat: unasked, parseAnswer: unasked };

function jobs(overrides: Partial<RolloutJobsOptions> = {}) {
  const calls: GenerateCall[] = [];
  const published: Group[] = [];
  const events: TelemetryEvent[] = [];
  const letters: unknown[] = [];
  const dropped: number[] = [];
  const begun: number[][] = [];
  const handler = new RolloutJobs({
    runState: {
      runId: 'run',
      publishGroup: (_index, payload, _origin, event) => {
        published.push(decode(groupSchema, payload, 'group'));
        if (event) events.push(event);
        return Promise.resolve('accepted');
      },
      emit: (event) => {
        events.push(event);
        return Promise.resolve();
      },
      phase: () => Promise.resolve({ phase: 'running', message: null }),
      dropStale: (index) => Promise.resolve(dropped.push(index) > 0),
      beginGroup: (...one) => Promise.resolve(void begun.push(one)),
      standing: () => Promise.resolve('due'),
      deadLetters: { keep: (...letter) => Promise.resolve(void letters.push(letter)) },
    },
    recipe,
    algorithm: { rollout: defaultRollout, needsReference: false },
    replica: '0',
    reward: {
      score: ({ answer }, { text }) => {
        const exact = text === answer ? 1 : 0;
        return Promise.resolve({ reward: exact, rewards: { exact } });
      },
    },
    reference: (sequences) =>
      Promise.resolve(sequences.map((tokenIds) => ({ logprobs: Array.from(tokenIds, (_, t) => -t) }))),
    generate: (call) => {
      calls.push(call);
      return Promise.resolve(
        call.rolloutIds.map((id) => ({
          text: id.endsWith('-1') ? '6' : '5',
          promptTokenIds: [1, 2],
          tokenIds: [3],
          logprobs: [-0.5],
          versions: [4],
          weightHashes: { '4': '4'.repeat(64), ...(id === '7-0' && { '3': '3'.repeat(64) }) },
          stopReason: 'end',
        })),
      );
    },
    chat: noChat,
    mismatch: () => Promise.resolve(3e-6),
    tokenTexts: (tokenIds, positions) => Promise.resolve(positions.map((at) => `<${tokenIds[at]}>`)),
    weightsAtLeast: () => Promise.resolve(),
    version: () => 4,
    activity: { during: async (_, work) => work() },
    ...overrides,
  });
  return { handler, calls, published, events, letters, dropped, begun };
}

describe('RolloutJobs', () => {
  it('publishes a scored group whose random numbers depend on its index alone', async () => {
    const { handler, calls, published } = jobs();
    await handler.handle(rollout(7));
    expect(calls).toMatchObject([
      { prompt: '2+3=', rolloutIds: ['7-0', '7-1'], sampling: { temperature: 0.7, topK: 3 } },
    ]);
    expect(published).toMatchObject([
      {
        runId: 'run',
        index: 7,
        // Only versions that a token of the group is of.
        weightHashes: { '4': '4'.repeat(64) },
        episodes: [
          { reward: 1, tokenIds: Int32Array.of(1, 2, 3), versions: Int32Array.of(-1, -1, 4) },
          { reward: 0, text: '6' },
        ],
      },
    ]);
  });

  it('numbers the completions of a rollout with several turns one by one', async () => {
    const twoTurns: RolloutJobsOptions['algorithm'] = {
      needsReference: false,
      rollout: async (context) => {
        await context.policy.generate('a');
        return defaultRollout(context);
      },
    };
    const { handler, calls, begun } = jobs({ algorithm: twoTurns });
    await handler.handle(rollout(7));
    expect(calls.map(({ rolloutIds }) => rolloutIds)).toEqual([['7-0'], ['7-1', '7-2']]);
    expect(begun).toEqual([[7, 4]]);
  });

  it('draws the same in conversations when the rollout runs again, in whatever order they go on', async () => {
    const chat: RolloutJobsOptions['chat'] = {
      renderChat: () => Promise.resolve([1, 2]),
      bridgeChat: ({ tokenIds }) => Promise.resolve({ tokenIds: [...tokenIds, 9] }),
      parseAnswer: () => Promise.resolve({ role: 'assistant', content: 'x' }),
    };
    const talking = (slow: number): RolloutJobsOptions['algorithm'] => ({
      needsReference: false,
      rollout: async ({ policy }) => {
        const talks = [0, 1].map(() => policy.conversation([{ role: 'user', content: 'a' }]));
        const talk = async (k: number) => {
          for (let turn = 0; turn < 2; turn++) {
            if (k === slow) await new Promise(setImmediate);
            await talks[k]!.next();
            talks[k]!.add({ role: 'user', content: 'b' });
          }
          return talks[k]!.episodes({ reward: 0, rewards: {} });
        };
        return (await Promise.all([0, 1].map(talk))).flat();
      },
    });
    const run = async (slow: number) => {
      const asked: GenerateCall[] = [];
      const generate: RolloutJobsOptions['generate'] = (call) => {
        asked.push(call);
        const { tokenIds: promptTokenIds } = call.prompt as { tokenIds: number[] };
        const answer = {
          text: '',
          tokenIds: [3],
          logprobs: [-0.5],
          versions: [4],
          stopReason: 'end' as const,
        };
        return Promise.resolve([{ ...answer, promptTokenIds, weightHashes: { '4': '4'.repeat(64) } }]);
      };
      const { handler, published } = jobs({ algorithm: talking(slow), chat, generate });
      await handler.handle(rollout(7));
      return { asked, order: asked.map(({ rolloutIds: [id] }) => id!), group: published[0] };
    };
    const [one, other] = [await run(0), await run(1)];
    expect(one.order).not.toEqual(other.order);
    expect([...one.order].sort()).toEqual(['7-c0-0', '7-c0-1', '7-c1-0', '7-c1-1']);
    expect([...other.order].sort()).toEqual([...one.order].sort());
    expect(one.asked[one.order.indexOf('7-c1-1')]).toEqual({
      prompt: { tokenIds: [1, 2, 3, 9] },
      rolloutIds: ['7-c1-1'],
      sampling: { ...recipe.sampling },
    });
    const mask = Uint8Array.of(0, 0, 1, 0, 1);
    for (const { group } of [one, other])
      expect(group).toMatchObject({
        weightHashes: { '4': '4'.repeat(64) },
        episodes: [
          { rollout: 0, mask },
          { rollout: 1, mask },
        ],
      });
  });

  const inParts = (rollouts: number[]): RolloutJobsOptions['algorithm'] => ({
    needsReference: true,
    rollout: async (context) => {
      const [whole] = await defaultRollout({ ...context, groupSize: 1 });
      return rollouts.map((rollout) => ({ ...whole!, rollout }));
    },
  });

  it('publishes the parts of a rollout, each with its reference log-probs, and shows them as one', async () => {
    let compared = 0;
    const { handler, published, events } = jobs({
      algorithm: inParts([0, 0, 1]),
      mismatch: () => Promise.resolve(++compared * 1e-6),
    });
    await handler.handle(rollout(0));
    expect(published[0]!.episodes.map((one) => one.rollout)).toEqual([0, 0, 1]);
    expect(published[0]!.episodes[1]!.referenceLogprobs).toEqual(Float32Array.of(0, 0, -2));
    expect(published[0]!.logprobMismatch).toBe(2e-6);
    expect(events).toMatchObject([{ kind: 'rollout', texts: ['5\n5', '5'], rewards: [1, 1] }]);
  });

  it('shows the messages of rollouts of several turns, and why they were cut off', async () => {
    const algorithm: RolloutJobsOptions['algorithm'] = {
      needsReference: false,
      rollout: async (context) => {
        const [one, other] = await defaultRollout(context);
        return [{ ...one!, conversation: [{ role: 'assistant', text: '5' }], end: 'time' }, other!];
      },
    };
    const { handler, events } = jobs({ algorithm });
    await handler.handle(rollout(0));
    expect(events).toMatchObject([
      { conversations: [[{ role: 'assistant', text: '5' }], []], ends: ['time', null] },
    ]);
  });

  it('refuses more rollouts than the group is to have', async () => {
    const { handler, published } = jobs({ algorithm: inParts([0, 1, 1, 2]) });
    await expect(handler.handle(rollout(7))).rejects.toThrow(
      'found 3 rollouts, expected at most algorithm.groupSize, which is 2',
    );
    expect(published).toEqual([]);
  });

  it('compares one completion of every fourth part of a batch with the training graph', async () => {
    const { handler, published } = jobs();
    for (const index of [7, 8]) await handler.handle(rollout(index));
    expect(published.map(({ logprobMismatch }) => logprobMismatch)).toEqual([undefined, 3e-6]);
  });

  it('asks the reference model where the algorithm needs it, for the tokens the policy chose', async () => {
    const { handler, published } = jobs({ algorithm: { rollout: defaultRollout, needsReference: true } });
    await handler.handle(rollout(7));
    expect(published[0]?.episodes[0]?.referenceLogprobs).toEqual(Float32Array.of(0, 0, -2));
  });

  it('waits while the groups stream is full', async () => {
    const answers = ['full', 'accepted'] as const;
    let attempts = 0;
    const runState = {
      runId: 'run',
      publishGroup: () => Promise.resolve(answers[attempts++]!),
      emit: () => Promise.resolve(),
      phase: () => Promise.resolve({ phase: 'running' as const, message: null }),
      standing: () => Promise.resolve('due' as const),
      dropStale: () => Promise.resolve(true),
      beginGroup: () => Promise.resolve(),
      deadLetters: { keep: () => Promise.resolve() },
    };
    await jobs({ runState }).handler.handle(rollout(7));
    expect(attempts).toBe(2);
  });

  it('is not done when the run stops before there is room, so that a resumed run does it', async () => {
    const runState = {
      runId: 'run',
      publishGroup: () => Promise.resolve('full' as const),
      emit: () => Promise.resolve(),
      standing: () => Promise.resolve('due' as const),
      phase: () => Promise.resolve({ phase: 'stopping' as const, message: null }),
      dropStale: () => Promise.resolve(true),
      beginGroup: () => Promise.resolve(),
      deadLetters: { keep: () => Promise.resolve() },
    };
    await expect(jobs({ runState }).handler.handle(rollout(7))).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('refuses a job that nobody asked for, and does none that is done', async () => {
    const runState = (standing: 'unknown' | 'done') => ({
      runId: 'run',
      publishGroup: () => Promise.reject(new Error('nothing is to be published')),
      emit: () => Promise.resolve(),
      phase: () => Promise.resolve({ phase: 'running' as const, message: null }),
      standing: () => Promise.resolve(standing),
      dropStale: () => Promise.resolve(true),
      beginGroup: () => Promise.resolve(),
      deadLetters: { keep: () => Promise.resolve() },
    });
    const forged = jobs({ runState: runState('unknown') });
    await expect(forged.handler.handle(rollout(7))).rejects.toMatchObject({
      code: 'CONTRACT_INVALID_MESSAGE',
      message: 'job: there is no group 7 at version 4',
      details: { reason: 'unknown' },
    });
    const again = jobs({ runState: runState('done') });
    await again.handler.handle(rollout(7));
    expect([forged.calls, again.calls]).toEqual([[], []]);
  });

  it('tells the first groups of each step as samples, together with publishing them', async () => {
    const { handler, events } = jobs();
    await handler.handle(rollout(31));
    await handler.handle(rollout(32));
    const tokens = { texts: ['<3>'], logprobs: [-0.5], versions: [4] };
    expect(events).toEqual([
      {
        kind: 'rollout',
        index: 32,
        version: 4,
        prompt: '2+3=',
        texts: ['5', '6'],
        rewards: [1, 0],
        rewardsByFunction: [{ exact: 1 }, { exact: 0 }],
        tokens: [tokens, tokens],
      },
    ]);
  });

  it('evaluates greedily and counts what the deciding reward calls correct', async () => {
    const { handler, calls, events } = jobs();
    const samples = [sample, { ...sample, answer: '9' }];
    await handler.handle({ kind: 'evaluation', schemaVersion: 1, minVersion: 4, part: 1, parts: 2, samples });
    expect(calls.map(({ sampling }) => [sampling.temperature, sampling.topK])).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(events).toEqual([{ kind: 'evaluation', version: 4, part: 1, parts: 2, correct: 1, total: 2 }]);
  });

  it("evaluates by the recipe's rollout where it has one, and hands rollouts seed, signal and record", async () => {
    const asked: RolloutContext[] = [];
    const asking: Rollout = async (context) => {
      asked.push(context);
      const [completion] = await context.policy.generate('go');
      return [episode(completion!, { reward: 7, rewards: { exact: 1 } })];
    };
    const own = { ...recipe, rollout: rolloutSchema.parse({ module: './mine.ts' }) };
    const { handler, events, calls } = jobs({
      recipe: own,
      algorithm: { rollout: asking, needsReference: false },
    });
    const samples = [sample];
    await handler.handle({ kind: 'evaluation', schemaVersion: 1, minVersion: 4, part: 1, parts: 2, samples });
    expect(events).toEqual([{ kind: 'evaluation', version: 4, part: 1, parts: 2, correct: 1, total: 1 }]);
    expect([asked[0]!.groupSize, asked[0]!.seed, calls[0]!.sampling.temperature]).toEqual([1, undefined, 0]);
    await handler.handle(rollout(3));
    expect([asked[1]!.groupSize, asked[1]!.seed, asked[1]!.signal?.aborted]).toEqual([2, '1/3', false]);
  });

  it('aborts the signal of a rollout that is handed back', async () => {
    let signal: AbortSignal | undefined;
    const waiting: Rollout = (context) => {
      signal = context.signal;
      return new Promise(() => undefined);
    };
    const { handler } = jobs({ algorithm: { rollout: waiting, needsReference: false } });
    const handling = handler.handle(rollout(3));
    await new Promise(setImmediate);
    handler.handBack();
    await expect(handling).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(signal!.reason).toMatchObject({ code: 'CANCELLED' });
  });

  describe('with a sample in an evaluation that fails', () => {
    const samples = [sample, { ...sample, id: 'poison' }, sample];
    const job = { kind: 'evaluation', schemaVersion: 1, minVersion: 4, part: 0, parts: 1, samples } as const;
    const failing = (error: Error): Partial<RolloutJobsOptions> => ({
      reward: {
        score: ({ id }) =>
          id === 'poison' ? Promise.reject(error) : Promise.resolve({ reward: 1, rewards: { exact: 1 } }),
      },
    });

    it.each([
      ['tries a reward that throws again, then', new TypeError('boom'), 'BUG_INVARIANT', 3, {}],
      [
        'at once, when a retry would give the same,',
        new ForgeError('CAPACITY_PROMPT_TOO_LONG', 'boom'),
        'CAPACITY_PROMPT_TOO_LONG',
        1,
        {},
      ],
      [
        'tries a reward again that takes too long for it, then',
        new ForgeError('TRANSIENT_TIMEOUT', 'boom', { sampleId: 'poison' }),
        'TRANSIENT_TIMEOUT',
        3,
        { unjudged: 1 },
      ],
      [
        'tries a judge again that is away, then',
        new ForgeError('TRANSIENT_JUDGE_UNREACHABLE', 'boom', { sampleId: 'poison' }),
        'TRANSIENT_JUDGE_UNREACHABLE',
        3,
        { unjudged: 1 },
      ],
      [
        'at once, when a judge does not take the key,',
        new ForgeError('CONTRACT_UNAUTHORIZED', 'boom'),
        'CONTRACT_UNAUTHORIZED',
        1,
        { unjudged: 1 },
      ],
    ])('%s counts it as failed and keeps it as a dead letter', async (_, error, code, attempts, more) => {
      const { handler, events, letters } = jobs(failing(error));
      await handler.handle(job);
      expect(events).toEqual([
        { kind: 'evaluation', version: 4, part: 0, parts: 1, correct: 2, total: 3, failed: 1, ...more },
      ]);
      expect(letters).toEqual([
        ['e-poison', 'evaluation', { code, message: 'boom', attempts, payload: JSON.stringify(samples[1]) }],
      ]);
    });

    it('leaves it to the job to come again when nobody answers', async () => {
      const { handler, events, letters } = jobs(failing(new ForgeError('TRANSIENT_TIMEOUT', 'late')));
      await expect(handler.handle(job)).rejects.toMatchObject({ code: 'TRANSIENT_TIMEOUT' });
      expect([events, letters]).toEqual([[], []]);
    });
  });

  it('gives a group up at once that is larger than a message, and says what to lower', async () => {
    const completion = {
      ...{
        text: 'x'.repeat(33 * 2 ** 20),
        promptTokenIds: [1],
        tokenIds: [3],
        logprobs: [-0.5],
        versions: [4],
      },
      stopReason: 'length' as const,
    };
    const { handler, published } = jobs({ generate: () => Promise.resolve([completion, completion]) });
    await expect(handler.handle(rollout(7))).rejects.toMatchObject({
      code: 'CAPACITY_FRAME_TOO_LARGE',
      message: expect.stringMatching(
        /^group 7 takes \d+ bytes, a message at most 67108864; lower algorithm.groupSize or sampling.maxTokens$/,
      ) as string,
    });
    expect(published).toEqual([]);
  });

  it.each([
    ['TRANSIENT_GENERATOR_UNREACHABLE', 'CANCELLED'],
    ['TRANSIENT_GENERATOR_FAILED', 'TRANSIENT_GENERATOR_FAILED'],
  ] as const)('ends a job that failed by %s with %s', async (thrown, code) => {
    const generate = () => Promise.reject(new ForgeError(thrown, 'http://server does not answer'));
    const { handler, published } = jobs({ generate });
    await expect(handler.handle(rollout(7))).rejects.toMatchObject({
      code,
      message: 'http://server does not answer',
    });
    expect(published).toEqual([]);
  });

  it('hands jobs back that wait for weights when it drains', async () => {
    const { handler, published } = jobs({ weightsAtLeast: () => new Promise(() => undefined) });
    const working = handler.handle(rollout(7));
    handler.handBack();
    await expect(working).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(published).toEqual([]);
  });

  describe('when rollouts that are too old are dropped', () => {
    const underWay = async (job: RolloutJob) => {
      let version = 4;
      const signals: AbortSignal[] = [];
      const never: RolloutJobsOptions['generate'] = (_call, signal) => {
        signals.push(signal);
        return new Promise(() => undefined);
      };
      const parts = jobs({ generate: never, version: () => version });
      const handling = parts.handler.handle(job);
      let isOver = false;
      void handling.finally(() => (isOver = true)).catch(() => undefined);
      await new Promise(setImmediate);
      const advanceTo = async (next: number, maxStaleness: number): Promise<boolean> => {
        version = next;
        parts.handler.dropStale(maxStaleness);
        await new Promise(setImmediate);
        return isOver;
      };
      return { ...parts, handling, signals, advanceTo };
    };

    it('gives up a group as soon as its first tokens are older than the bound, and stops generating for it', async () => {
      const { handling, signals, dropped, published, advanceTo } = await underWay(rollout(7));
      expect(await advanceTo(6, 2)).toBe(false);
      expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
      expect(await advanceTo(7, 2)).toBe(true);
      await handling;
      expect(dropped).toEqual([7]);
      expect(published).toEqual([]);
      expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    });

    it('lets evaluations go on', async () => {
      const samples = [sample];
      const { advanceTo, handler, handling } = await underWay({
        ...{ kind: 'evaluation', schemaVersion: 1, minVersion: 4, part: 0, parts: 1 },
        samples,
      });
      expect(await advanceTo(99, 0)).toBe(false);
      handler.handBack();
      await expect(handling).rejects.toMatchObject({ code: 'CANCELLED' });
    });
  });
});
