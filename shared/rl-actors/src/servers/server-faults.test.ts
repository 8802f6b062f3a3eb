import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { samplingSchema, type Completion } from '@forge/contracts';
import { recipeSchema, generationServer } from '@forge/config';
import { loadModel, type LoadedModel } from '@forge/model';
import { waitFor } from '@forge/testing';
import { Announcer } from './announced.fixture';
import { openServer } from './open-server';
import { ServerGenerator } from './server-generator';
import {
  altered,
  answersStatus,
  breaksOff,
  breaksOffWithin,
  hangs,
  StandInServer,
  type Fault,
} from './stand-in-server.fixture';
import { WeightsFolders } from './weights-folder';

const directory = join(__dirname, '../../../../models/arithmetic');
const sampling = samplingSchema.parse({ temperature: 0, maxTokens: 10 });
let model: LoadedModel;
let server: StandInServer;
let announcer: Announcer;
const generators: ServerGenerator[] = [];
beforeAll(async () => {
  model = await loadModel(directory);
  server = await StandInServer.start(directory, { chunk: 1 });
});
beforeEach(async () => {
  announcer = await Announcer.of(model);
  server.ignoresWeights = false;
});
afterEach(async () => {
  for (const generator of generators.splice(0)) generator.close();
  announcer.remove();
  await server.die();
  await server.startAgain();
  server.asked.length = 0;
});
afterAll(() => server.die());

type Kind = 'sglang' | 'vllm';
const PATH = { sglang: '/generate', vllm: '/v1/completions' } as const;
const PUT = { sglang: '/update_weights_from_disk', vllm: '/collective_rpc' } as const;

interface Setting {
  update?: 'drain' | 'pause';
  timeoutMs?: number;
  waitMs?: number;
  key?: string;
  /** Duration of a sleep; as long as is asked unless given. */
  sleepMs?: number;
}

/** A generator at the server, and the sleeps it has asked for. */
function generatorAt(kind: Kind, setting: Setting = {}) {
  const { update = 'drain', timeoutMs = 20_000, waitMs = 3_000, key, sleepMs } = setting;
  const sleeps: number[] = [];
  const engine = { [kind]: { url: server.url, timeoutMs, ...(key && { apiKeyEnv: 'SERVER_KEY' }) } };
  const { policy } = recipeSchema.parse({
    ...{ name: 'served', model: directory, steps: 1, task: { kind: 'arithmetic' } },
    ...{ algorithm: { name: 'grpo' }, rewards: [{ name: 'exact' }], policy: { engine } },
  });
  const folders = new WeightsFolders({ files: model.files, model: directory, adapter: undefined }, undefined);
  const { tokenizer, config } = model;
  const generator = new ServerGenerator({
    server: openServer(generationServer(policy.engine)!, key ?? null, false),
    rules: {
      maxPositions: config.maxPositions,
      endTokenIds: tokenizer.endTokenIds,
      decodeText: (ids, options) => tokenizer.decode(ids, options),
      specialTokens: tokenizer.specialTokens,
    },
    ...{ vocabSize: config.vocabSize, waitMs, update, tolerance: 1e-3, ownSha256: null },
    folderOf: (announcement) => folders.make(announcement),
    clock: {
      now: () => performance.now(),
      sleep: (ms, signal) => {
        sleeps.push(ms);
        return sleep(sleepMs ?? ms, undefined, { signal });
      },
    },
  });
  generators.push(generator);
  const ask = async (signal?: AbortSignal, drawn = sampling): Promise<Completion> => {
    const promptTokenIds = tokenizer.encode('82-1=');
    const request = {
      promptTokenIds,
      rolloutIds: ['a'],
      seed: 1,
      sampling: drawn,
      ...(signal && { signal }),
    };
    const [completion] = await generator.generate(request);
    return completion!;
  };
  return { generator, ask, sleeps };
}

/** Takes ids and log-probs of an answer in both forms. */
const changed = (change: (tokens: number[], logprobs: (number | null)[]) => void): Fault =>
  altered((answer) => {
    const { meta_info: meta, choices } = answer as {
      meta_info?: { output_token_logprobs: [number | null, number, null][] };
      choices?: { token_ids: number[]; logprobs: { token_logprobs: (number | null)[] } }[];
    };
    if (meta) {
      const [ids, logprobs] = [
        meta.output_token_logprobs.map((one) => one[1]),
        meta.output_token_logprobs.map((one) => one[0]),
      ];
      change(ids, logprobs);
      meta.output_token_logprobs = ids.map((id, t) => [logprobs[t]!, id, null]);
    } else change(choices![0]!.token_ids, choices![0]!.logprobs.token_logprobs);
    return answer;
  });

describe.each(['sglang', 'vllm'] as const)('a generator at a server that speaks as %s', (kind) => {
  const path = PATH[kind];

  it.each([
    ['breaks off', breaksOff],
    ['breaks off within its answer', breaksOffWithin],
    ['hangs', hangs],
    ['is full', answersStatus(429)],
    ['has no worker', answersStatus(503)],
    ['fails once', answersStatus(500)],
  ])('answers as before where the server %s', async (_, fault) => {
    const expected = await generatorAt(kind).ask();
    server.asked.length = 0;
    const { ask } = generatorAt(kind, fault === hangs ? { timeoutMs: 1_000, waitMs: 20_000 } : {});
    server.willFail(path, fault);
    expect(await ask()).toEqual(expected);
    expect(server.askedOf(path).length).toBeGreaterThanOrEqual(2);
  });

  it('waits as long as a full server asks for', async () => {
    const { ask, sleeps } = generatorAt(kind, { waitMs: 60_000, sleepMs: 1 });
    server.willFail(path, answersStatus(429, { 'retry-after': '17' }));
    await ask();
    expect(sleeps).toContain(17_000);
  });

  it.each([
    ['does not answer', breaksOff, /^http:\S+ does not answer \/\S+ \(.+\), after \d+ attempts; start it/],
    ['is full', answersStatus(429), /answers 429/],
  ])('gives up as unreachable what %s for too long', async (_, fault, message) => {
    const { ask } = generatorAt(kind, { waitMs: 400 });
    server.willFail(path, ...Array.from({ length: 20 }, () => fault));
    await expect(ask()).rejects.toMatchObject({
      code: 'TRANSIENT_GENERATOR_UNREACHABLE',
      message: expect.stringMatching(message) as string,
    });
  });

  it('gives up a request that the server fails at again and again, with its words', async () => {
    const { ask } = generatorAt(kind);
    server.willFail(
      path,
      ...Array.from({ length: 3 }, () => answersStatus(500, {}, { detail: 'out of blocks' })),
    );
    await expect(ask()).rejects.toMatchObject({
      code: 'TRANSIENT_GENERATOR_FAILED',
      message: expect.stringContaining('out of blocks') as string,
    });
  });

  it.each<[string, Fault, string, RegExp]>([
    [
      'refuses',
      answersStatus(400, {}, { message: 'max_tokens is too large' }),
      'CONFIG_INVALID',
      /max_tokens is too large/,
    ],
    ['wants a key', answersStatus(401), 'CONTRACT_UNAUTHORIZED', /apiKeyEnv/],
    ['is none', altered(() => '<html>'), 'CONTRACT_GENERATOR_UNREADABLE', /not JSON/],
    [
      'has other fields',
      altered(() => ({ text: '11' })),
      'CONTRACT_GENERATOR_UNREADABLE',
      /found an answer without/,
    ],
    [
      'gives more tokens than it was asked for',
      changed((ids, logprobs) => {
        ids.push(...Array.from({ length: 9 }, () => 3));
        logprobs.push(...Array.from({ length: 9 }, () => -1));
      }),
      'CONTRACT_GENERATOR_UNREADABLE',
      /asked for at most 10/,
    ],
    [
      'gives a log-prob that is null',
      changed((_, logprobs) => (logprobs[1] = null)),
      'NUMERIC_NON_FINITE',
      /no number/,
    ],
    ['gives NaN', altered(() => '{"choices": [NaN]}'), 'NUMERIC_NON_FINITE', /no number/],
  ])('fails for good where the server %s', async (_, fault, code, message) => {
    const { ask } = generatorAt(kind);
    server.willFail(path, fault);
    await expect(ask()).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
    expect(server.askedOf(path)).toHaveLength(1);
  });

  it('puts its weights again, once, before it asks a server that was started anew', async () => {
    const { generator, ask } = generatorAt(kind);
    await announcer.next();
    await generator.applyWeights(await announcer.next());
    const expected = await ask();
    await server.die();
    await server.startAgain();
    server.asked.length = 0;
    // vLLM's answers do not tell; its weights are looked after.
    if (kind === 'vllm')
      await waitFor(
        'a look',
        () => server.askedOf(PUT[kind]).length > 0 || server.askedOf('/weight_info').length > 0,
      );
    const answers = await Promise.all([ask(), ask()]);
    expect(answers).toEqual([expected, expected]);
    expect(server.askedOf(PUT[kind])).toHaveLength(1);
  });

  it('refuses weights that the server does not use, and goes on with those before', async () => {
    const { generator, ask } = generatorAt(kind);
    await generator.applyWeights(await announcer.next());
    const expected = await ask();
    server.ignoresWeights = true;
    await expect(generator.applyWeights(await announcer.next())).rejects.toMatchObject({
      code: 'CONTRACT_CANARY_MISMATCH',
    });
    expect(server.askedOf(PUT[kind])).toHaveLength(3);
    expect(generator.stats().version).toBe(0);
    expect(await ask()).toEqual(expected);
    expect(server.askedOf(PUT[kind])).toHaveLength(4);
  });

  it('drains: an answer under way is of one version, and new weights wait for it', async () => {
    const { generator, ask } = generatorAt(kind);
    await generator.applyWeights(await announcer.next());
    const held = server.hold(3);
    const [answer, release] = [ask(), await held];
    const applied = generator.applyWeights(await announcer.next());
    const later = ask();
    release();
    expect(new Set((await answer).versions)).toEqual(new Set([0]));
    expect(await applied).toBe(1);
    expect(new Set((await later).versions)).toEqual(new Set([1]));
  });

  it('pauses: an answer goes on from its tokens with new weights, each token with its version', async () => {
    const { generator, ask } = generatorAt(kind, { update: 'pause' });
    await generator.applyWeights(await announcer.next());
    const held = server.hold(3);
    const asking = ask();
    await held;
    expect(await generator.applyWeights(await announcer.next())).toBe(1);
    const { promptTokenIds, tokenIds, versions, logprobs, weightHashes } = await asking;
    expect(versions.slice(0, 4)).toEqual([0, 0, 0, 1]);
    expect(new Set(versions)).toEqual(new Set([0, 1]));
    expect(Object.keys(weightHashes!)).toEqual(['0', '1']);
    const whole = [...promptTokenIds, ...tokenIds];
    const scored = await Promise.all([0, 1].map((version) => announcer.scored(whole, version)));
    for (const [t, version] of versions.entries())
      expect(Math.abs(logprobs[t]! - scored[version]![promptTokenIds.length + t]!)).toBeLessThan(1e-4);
  });

  it('frees the server of what nobody waits for any more', async () => {
    const { ask } = generatorAt(kind);
    const held = server.hold(2);
    const leaving = new AbortController();
    const asking = ask(leaving.signal);
    await held;
    expect(server.underWay.size).toBe(1);
    leaving.abort();
    await expect(asking).rejects.toMatchObject({ code: 'CANCELLED' });
    await waitFor('a free server', () => server.underWay.size === 0);
  });
});

describe('a generator at a vLLM server, at another temperature than 1', () => {
  const warm = { ...sampling, temperature: 3 };

  it('takes log-probs that are scaled by it, and looks once', async () => {
    const { ask } = generatorAt('vllm');
    await ask(undefined, warm);
    await ask(undefined, warm);
    expect(server.askedOf('/v1/completions').filter((body) => 'prompt_logprobs' in body)).toHaveLength(1);
  });

  it('refuses those of temperature 1, with the way out', async () => {
    const { ask } = generatorAt('vllm');
    const { promptTokenIds, tokenIds } = await ask(undefined, warm);
    await announcer.next();
    const raw = (await announcer.scored([...promptTokenIds, ...tokenIds], 0)).slice(-tokenIds.length);
    const unscaled = changed((_, logprobs) => logprobs.splice(0, Infinity, ...raw));
    server.willFail('/v1/completions', unscaled);
    await expect(generatorAt('vllm').ask(undefined, warm)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/temperature: found 3, .+ --logprobs-mode processed_logprobs/) as string,
    });
  });
});
