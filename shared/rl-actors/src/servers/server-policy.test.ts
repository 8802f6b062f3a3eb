import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import type { Completion } from '@forge/contracts';
import { episode } from '@forge/rl';
import { waitFor } from '@forge/testing';
import { Trainer } from '../trainer/trainer';
import { Policy } from '../policy/policy';
import { altered, StandInServer } from './stand-in-server.fixture';

const model = join(__dirname, '../../../../models/arithmetic');
const dir = mkdtempSync(join(tmpdir(), 'forge-server-'));
const greedy = { temperature: 0, maxTokens: 10 };
let server: StandInServer;
beforeAll(async () => {
  server = await StandInServer.start(model);
});
beforeEach(async () => {
  await server.die();
  await server.startAgain();
});
afterAll(async () => {
  await server.die();
  rmSync(dir, { recursive: true });
});

const spawn = (worker: object = {}) =>
  thisProc().spawn('policy', Policy, { worker: { model, ...worker }, sampling: { maxTokens: 10 } });
let trainers = 0;
const trainerOf = (config: object = {}) =>
  thisProc().spawn('trainer', Trainer, {
    ...{ model, dir: join(dir, `trainer-${trainers++}`), algorithm: { name: 'reinforce' }, canary: true },
    optimizer: { learningRate: 0.02, warmupSteps: 0 },
    ...config,
  });

/** Same tokens, log-probs to rounding, whatever else. */
function expectAlike(found: Completion, expected: Completion): void {
  expect({ ...found, logprobs: [] }).toEqual({ ...expected, logprobs: [] });
  expect(found.logprobs).toHaveLength(expected.logprobs.length);
  found.logprobs.forEach((logprob, t) =>
    expect(Math.abs(logprob - expected.logprobs[t]!)).toBeLessThan(1e-4),
  );
}

describe.each(['sglang', 'vllm'] as const)('a policy at a server that speaks as %s', (kind) => {
  const engineAt = (options: object = {}) => ({
    [kind]: { url: server.url, canaryTolerance: 1e-3, ...options },
  });

  it.each(['drain', 'pause'])(
    'generates with what the trainer announces, as our own would (%s)',
    async (update) => {
      const [served, own, trainer] = await Promise.all([
        spawn({ engine: engineAt({ update }) }),
        spawn(),
        trainerOf(),
      ]);
      const prompts = ['82-1=', '12+7=', '9+9='];
      const both = (prompt: string) =>
        Promise.all([served.generate.callOne(prompt, greedy), own.generate.callOne(prompt, greedy)]);
      for (const step of [0, 1]) {
        const announced = await trainer.publishWeights.callOne();
        expect(await served.applyWeights.callOne(announced)).toBe(step);
        await own.applyWeights.callOne(announced);
        for (const prompt of prompts) {
          const [[found], [expected]] = await both(prompt);
          expectAlike(found!, expected!);
          expect(found!.weightHashes).toEqual({ [step]: announced.sha256 });
        }
        const [wrong] = await served.generate.callOne('82-1=', greedy);
        const unlearnt = episode(wrong!, { reward: 0, rewards: {} });
        const { logprobMismatch } = await trainer.trainStep.callOne([{ ...unlearnt, advantage: -1 }]);
        expect(logprobMismatch).toBeLessThan(1e-4);
      }
      await Promise.all([served.stop(), own.stop(), trainer.stop()]);
    },
  );

  it('draws the same for the same ids, as often as it is asked, at a server that keeps to its seeds', async () => {
    const policy = await spawn({ engine: engineAt() });
    const drawn = await policy.generate.callOne('12+7=', { temperature: 2 }, ['a', 'b', 'c', 'd']);
    const again = await policy.generate.callOne('12+7=', { temperature: 2 }, ['d', 'c', 'b', 'a']);
    expect([...again].reverse()).toEqual(drawn);
    expect(new Set(drawn.map(({ text }) => text)).size).toBeGreaterThan(1);
    await policy.stop();
  });

  it('cuts at stop strings where our own does', async () => {
    const [served, own] = await Promise.all([spawn({ engine: engineAt() }), spawn()]);
    for (const stop of [['1'], ['11'], ['>1']]) {
      const asked = { ...greedy, stop };
      const [[found], [expected]] = await Promise.all([
        served.generate.callOne('82-1=', asked),
        own.generate.callOne('82-1=', asked),
      ]);
      expectAlike({ ...found!, weightHashes: {} }, { ...expected!, weightHashes: {} });
      expect(found!.stopReason).toBe('stop');
    }
    await Promise.all([served.stop(), own.stop()]);
  });

  it('loads each adapter beside the one before, which it lets go of, and again after a restart', async () => {
    const adapter = { rank: 4, seed: 3 };
    const [served, own, trainer] = await Promise.all([
      spawn({ engine: engineAt(), adapter }),
      spawn({ adapter }),
      trainerOf({ adapter }),
    ]);
    server.asked.length = 0;
    const load = kind === 'vllm' ? '/v1/load_lora_adapter' : '/load_lora_adapter';
    const unload = load.replace('load', 'unload');
    const namesAt = (path: string) => server.askedOf(path).map((body) => body['lora_name']);
    const expectSame = async () => {
      const [[found], [expected]] = await Promise.all([
        served.generate.callOne('82-1=', greedy),
        own.generate.callOne('82-1=', greedy),
      ]);
      expectAlike(found!, expected!);
      return found!;
    };
    for (const step of [0, 1]) {
      const announced = await trainer.publishWeights.callOne();
      expect(await served.applyWeights.callOne(announced)).toBe(step);
      await own.applyWeights.callOne(announced);
      const unlearnt = episode(await expectSame(), { reward: 0, rewards: {} });
      await trainer.trainStep.callOne([{ ...unlearnt, advantage: -1 }]);
    }
    const [first, second] = namesAt(load);
    await waitFor('the end of the first', () => namesAt(unload).length > 0);
    expect(namesAt(unload)).toEqual([first]);
    await server.die();
    await server.startAgain();
    await expectSame();
    expect(namesAt(load)).toEqual([first, second, second]);
    await Promise.all([served.stop(), own.stop(), trainer.stop()]);
  });

  it('refuses an adapter that the server does not use', async () => {
    const adapter = { rank: 4, seed: 3 };
    const [served, trainer] = await Promise.all([
      spawn({ engine: engineAt(), adapter }),
      trainerOf({ adapter }),
    ]);
    expect(await served.applyWeights.callOne(await trainer.publishWeights.callOne())).toBe(0);
    const [wrong] = await served.generate.callOne('82-1=', greedy);
    await trainer.trainStep.callOne([{ ...episode(wrong!, { reward: 0, rewards: {} }), advantage: -1 }]);
    server.ignoresWeights = true;
    await expect(served.applyWeights.callOne(await trainer.publishWeights.callOne())).rejects.toMatchObject({
      code: 'CONTRACT_CANARY_MISMATCH',
    });
    server.ignoresWeights = false;
    expect(await served.version.callOne()).toBe(0);
    await Promise.all([served.stop(), trainer.stop()]);
  });
});

describe('a policy at a server that speaks as OpenAI', () => {
  const answers: object[] = [];
  const asks = async (changes: object = {}): Promise<Completion> => {
    server.willFail(
      '/v1/completions',
      ...answers.splice(0).map((choice) => altered(() => ({ choices: [choice] }))),
    );
    const policy = await spawn({ engine: { openai: { url: server.url, waitSeconds: 1 } } });
    try {
      const [completion] = await policy.generate.callOne('82-1=', { ...greedy, ...changes });
      return completion!;
    } finally {
      await policy.stop();
    }
  };

  it.each([
    ['token_ids', { token_ids: [3, 4, 1], logprobs: { token_logprobs: [-1, -2, -3] } }],
    [
      'names of tokens',
      { logprobs: { tokens: ['token_id:3', 'token_id:4', 'token_id:1'], token_logprobs: [-1, -2, -3] } },
    ],
    ['log-probs with ids', { logprobs: { content: [3, 4, 1].map((id, i) => ({ id, logprob: -1 - i })) } }],
  ])('reads ids from %s', async (_, choice) => {
    answers.push({ finish_reason: 'stop', ...choice });
    expect(await asks()).toMatchObject({
      tokenIds: [3, 4, 1],
      logprobs: [-1, -2, -3],
      text: '12',
      stopReason: 'end',
    });
  });

  it('takes an end that has no token for one', async () => {
    answers.push({ finish_reason: 'stop', token_ids: [3, 4], logprobs: { token_logprobs: [-1, -2] } });
    expect(await asks()).toMatchObject({ tokenIds: [3, 4], text: '12', stopReason: 'end' });
  });

  it('asks for the likeliest token where no log-probs come without', async () => {
    server.asked.length = 0;
    answers.push({ finish_reason: 'stop', token_ids: [1], logprobs: null });
    await asks();
    expect(server.askedOf('/v1/completions').map((body) => body['logprobs'])).toEqual([0, 1]);
  });

  it.each([
    [
      'text without ids',
      { text: '12', logprobs: { tokens: ['1', '2'], token_logprobs: [-1, -2] } },
      /text without the ids/,
    ],
    ['ids without log-probs', { token_ids: [3, 1], logprobs: {} }, /tokens without log-probs/],
    [
      'fewer log-probs',
      { token_ids: [3, 4, 1], logprobs: { token_logprobs: [-1] } },
      /3 tokens with 1 log-probs/,
    ],
  ])('refuses %s, and says which servers do better', async (_, choice, message) => {
    answers.push({ finish_reason: 'stop', ...choice });
    await expect(asks()).rejects.toMatchObject({
      code: 'CONTRACT_GENERATOR_UNREADABLE',
      message: expect.stringMatching(message) as string,
    });
  });

  it('goes on with what the server has whatever is announced', async () => {
    const [served, own, trainer] = await Promise.all([
      spawn({ engine: { openai: { url: server.url } } }),
      spawn(),
      trainerOf(),
    ]);
    const { sha256 } = await trainer.publishWeights.callOne();
    const [before] = await own.generate.callOne('82-1=', greedy);
    await trainer.trainStep.callOne([{ ...episode(before!, { reward: 0, rewards: {} }), advantage: -1 }]);
    expect(await served.applyWeights.callOne(await trainer.publishWeights.callOne())).toBe(0);
    const [found] = await served.generate.callOne('82-1=', greedy);
    expectAlike(found!, { ...before!, weightHashes: { 0: sha256 } });
    await Promise.all([served.stop(), own.stop(), trainer.stop()]);
  });
});
