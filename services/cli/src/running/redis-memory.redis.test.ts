import { redisMemory, openRolloutQueue, RunState, SpanLog } from '@forge/broker';
import { recipeSchema } from '@forge/config';
import { encode, type Group, type RolloutJob } from '@forge/contracts';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { checkMemory, memoryNeed } from './redis-memory';

const PROMPT_TOKENS = 20;
const TOKENS = 220;
const recipe = recipeSchema.parse({
  name: 'test',
  model: 'models/none',
  steps: 1_000_000,
  maxStaleness: Infinity,
  task: { kind: 'arithmetic' },
  algorithm: { name: 'grpo', groupSize: 4, klCoefficient: 0.1 },
  batch: { groups: 8 },
  sampling: { maxTokens: TOKENS - PROMPT_TOKENS },
  rewards: [{ name: 'exact' }],
  output: { sampleRollouts: 7 },
  limits: {
    heldGroups: 64,
    completedJobs: 300,
    telemetryEvents: 500,
    historyGroups: 2_000,
    deadLetters: 50,
    spans: 320,
  },
});

describe('memoryNeed', () => {
  it('is groups x completions x tokens and so on', () => {
    const need = memoryNeed(recipe, PROMPT_TOKENS);
    expect(need).toEqual({
      // A token of 21 bytes, an episode of 220 of them and 512 bytes.
      groups: 64 * 4 * (220 * 21 + 512),
      jobs: (64 + 300) * (2_048 + 80),
      // One of two events shows four texts of 220 tokens, and 200 tokens of each.
      telemetry: 500 * (512 + 0.5 * 4 * (220 * 4 + 200 * 20)),
      history: 2_000 * 128,
      spans: 320 * 800,
      deadLetters: 50 * 4 * (220 * 21 + 512),
      total: Math.ceil(1.3 * (1_313_792 + 774_592 + 5_136_000 + 256_000 + 256_000 + 1_026_400)),
    });
  });

  it('counts no more groups than the staleness bound admits', () => {
    const { groups } = memoryNeed({ ...recipe, maxStaleness: 1 }, PROMPT_TOKENS);
    expect(groups).toBe(2 * 8 * 4 * (220 * 21 + 512));
  });
});

describe('a run at all of its limits', () => {
  let server: TestRedis;
  beforeAll(async () => {
    server = await startTestRedis();
  });
  afterAll(() => server.stop());

  it('takes less than it was said to need, and more than a fourth of it', async () => {
    const redis = await server.connect();
    const before = await redisMemory(redis);
    expect(before.maxBytes).toBeNull();
    const { limits } = recipe;
    const bounds = {
      held: limits.heldGroups,
      history: limits.historyGroups,
      deadLetters: limits.deadLetters,
      telemetry: limits.telemetryEvents,
    };
    const state = new RunState(redis, 'run', bounds);
    await state.create(recipe, { maxStaleness: Infinity, candidatesPerBatch: 8, steps: recipe.steps });

    // Groups that fail fill the history and the dead letters, jobs those kept, events the telemetry.
    const reject = async (index: number) => {
      await state.publishGroup(index, Buffer.from('x'), { replica: '0', oldest: 0, newest: 0 });
      const [entry] = await state.readGroups('buffer', 1, 0);
      await state.rejectGroup(entry!, 'invalid', {
        code: 'C',
        message: 'm',
        attempts: 1,
        payload: encode(group(index)),
      });
    };
    for (let k = 0; k < 32; k++) for (const { index } of await state.admit(100)) await reject(index);
    const queue = await openRolloutQueue(server.url, 'run', undefined, { attempts: 3, keptCompleted: 300 });
    await queue.add(Array.from({ length: 300 }, (_, index) => job(index)));
    const nothing = () => Promise.resolve();
    queue.work({
      name: 'worker',
      concurrency: 16,
      handler: nothing,
      onFailed: nothing,
      onError: () => undefined,
    });
    await waitFor('300 jobs', async () => (await queue.counts())['completed'] === 300);
    await queue.close();
    for (let k = 0; k < 500; k++) {
      const texts = Array.from({ length: 4 }, () => 'word '.repeat(176));
      const tokens = texts.map(() => ({
        texts: Array.from({ length: 200 }, () => 'word '),
        logprobs: Array.from({ length: 200 }, (_, t) => -Math.sqrt(t) / 7),
        versions: Array.from({ length: 200 }, () => 300),
      }));
      if (k % 2)
        await state.emit({
          kind: 'rollout',
          index: k,
          version: 0,
          prompt: 'p',
          texts,
          rewards: [0, 0, 0, 1],
          tokens,
        });
      else
        await state.emit({
          kind: 'service',
          service: 'policy',
          replica: '0',
          values: { tokens: k, busyMs: k },
        });
    }
    const spans = new SpanLog(redis, state, limits.spans);
    for (let k = 0; k < 20; k++) await spans.add('x'.repeat(64 * 700));
    const held = await state.admit(100);
    for (const { index } of held) {
      await state.publishGroup(index, encode(group(index)), { replica: '0', oldest: 0, newest: 0 });
      const [entry] = await state.readGroups('buffer', 1, 0);
      await state.storeGroup(entry!.entryId, { index, version: 0 }, entry!.payload);
    }
    expect(held).toHaveLength(64);
    state.close();

    const { usedBytes } = await redisMemory(redis);
    const need = memoryNeed(recipe, PROMPT_TOKENS).total;
    expect(usedBytes - before.usedBytes).toBeLessThan(need);
    expect(usedBytes - before.usedBytes).toBeGreaterThan(need / 4);
  });
});

describe('checkMemory', () => {
  const need = { ...memoryNeed(recipe, PROMPT_TOKENS), telemetry: 0, total: 300 * 2 ** 20 };
  const memory = { maxBytes: null, usedBytes: 2 ** 20, systemBytes: 2 ** 40 };

  it('refuses a run that may take more than Redis has left, and says which limit to lower', () => {
    const full = { ...memory, maxBytes: 256 * 2 ** 20 };
    expect(() => checkMemory(need, full)).toThrow(
      'the run may take 300 MiB of Redis memory, most of it by limits.heldGroups, and Redis has 255 MiB left of its maxmemory 256 MiB; raise maxmemory or lower limits.heldGroups',
    );
    expect(checkMemory(need, { ...memory, maxBytes: 2 ** 30 })).toBeNull();
  });

  it('warns where Redis has no limit and its machine not the memory', () => {
    expect(checkMemory(need, memory)).toBeNull();
    expect(checkMemory(need, { ...memory, systemBytes: 2 ** 28 })).toContain('its machine 256 MiB');
  });
});

function group(index: number): Group {
  const per = <T>(value: (t: number) => T): T[] => Array.from({ length: TOKENS }, (_, t) => value(t));
  const chosen = (t: number): boolean => t >= PROMPT_TOKENS;
  const episode = {
    tokenIds: Int32Array.from(per((t) => 20_000 + t)),
    mask: Uint8Array.from(per((t) => Number(chosen(t)))),
    logprobs: Float32Array.from(per((t) => (chosen(t) ? -Math.sqrt(t) / 7 : 0))),
    versions: Int32Array.from(per((t) => (chosen(t) ? 300 : -1))),
    referenceLogprobs: Float32Array.from(per((t) => (chosen(t) ? -Math.sqrt(t) / 9 : 0))),
    reward: 0.5,
    rewards: { exact: 0.5 },
    text: 'word '.repeat(176),
  };
  const episodes = [episode, episode, episode, episode];
  return {
    schemaVersion: 3,
    runId: 'run',
    index,
    sampleId: 's',
    promptText: 'p',
    episodes,
    replica: '0',
    weightHashes: { '0': '0'.repeat(64) },
  };
}

function job(index: number): RolloutJob {
  const sample = { id: `s${index}`, prompt: 'word '.repeat(16), answer: '42' };
  return { kind: 'rollout', schemaVersion: 1, index, minVersion: 0, sample };
}
