import fc from 'fast-check';
import type { z } from 'zod';
import { completionSchema } from './completion';
import { episodeSchema, groupSchema } from './episode';
import { batchSchema, deadLetterSchema, rolloutJobSchema, telemetryEventSchema } from './messages';
import { sampleSchema } from './sample';
import { samplingSchema } from './sampling';
import { weightsAnnouncementSchema } from './weights';

const count = fc.nat(2 ** 40);
const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => (Object.is(x, -0) ? 0 : x));
const logprob = fc.double({ min: -1e300, max: 0, noNaN: true }).map((x) => (Object.is(x, -0) ? 0 : x));
const id = fc.nat(2 ** 31 - 1);
const float = fc.float({ max: 0, noNaN: true, noDefaultInfinity: true });
const name = fc.string({ minLength: 1, maxLength: 20, unit: 'binary' });
const values = fc.dictionary(
  name.filter((one) => one !== '__proto__'),
  finite,
  { maxKeys: 5, noNullPrototype: true },
);
const rewards = fc.dictionary(
  name.filter((one) => one !== '__proto__'),
  fc.double({ min: -1e12, max: 1e12, noNaN: true }).map((x) => (Object.is(x, -0) ? 0 : x)),
  { maxKeys: 5, noNullPrototype: true },
);
const optional = <T>(key: string, one: fc.Arbitrary<T>) =>
  fc.option(one, { nil: null }).map((value) => (value === null ? {} : { [key]: value }));
const merged = (...parts: fc.Arbitrary<object>[]): fc.Arbitrary<object> =>
  fc.tuple(...parts).map((all) => Object.assign({}, ...(all as object[])) as object);

const sample = merged(
  fc.record({
    id: name,
    prompt: fc.oneof(
      fc.string(),
      fc.array(fc.record({ role: fc.constantFrom('system', 'user'), content: fc.string() }), {
        minLength: 1,
      }),
    ),
  }),
  optional('answer', fc.string()),
);
const completion = fc.array(fc.tuple(count, logprob, count)).map((tokens) => ({
  text: 't',
  promptTokenIds: [1],
  tokenIds: tokens.map(([id]) => id),
  logprobs: tokens.map(([, one]) => one),
  versions: tokens.map(([, , version]) => version),
  stopReason: 'end',
}));
const episode = fc
  .tuple(
    fc.array(fc.tuple(id, float, id), { minLength: 1 }),
    fc.double({ min: -1e12, max: 1e12, noNaN: true }),
    rewards,
  )
  .map(([tokens, reward, rewards]) => ({
    tokenIds: Int32Array.of(3, ...tokens.map(([one]) => one)),
    mask: Uint8Array.of(0, ...tokens.map(() => 1)),
    logprobs: Float32Array.of(0, ...tokens.map(([, one]) => one)),
    versions: Int32Array.of(-1, ...tokens.map(([, , version]) => version)),
    reward: Object.is(reward, -0) ? 0 : reward,
    rewards,
    text: '',
  }));
const shownMessage = fc.record(
  {
    role: fc.constantFrom('system', 'user', 'assistant', 'tool', 'agent'),
    text: fc.string(),
    reasoning: fc.string(),
    toolCalls: fc.array(fc.record({ name: fc.string(), arguments: fc.string() }), { maxLength: 2 }),
    name: fc.string(),
    reward: finite.map((value) => (Math.abs(value) > 1e12 ? 1 : value)),
    fork: fc.string(),
  },
  { requiredKeys: ['role', 'text'] },
);
/** An episode that is a rollout of one part, with all that is said of turns. */
const conversed = fc
  .tuple(
    episode,
    fc.record({
      conversation: fc.array(shownMessage, { maxLength: 3 }),
      end: fc.constantFrom('turns', 'tokens', 'context', 'time'),
    }),
  )
  .map(([one, said]) => ({ ...one, ...said, turns: [{ end: one.tokenIds.length, reward: one.reward }] }));
const episodes = fc.oneof(
  fc.array(episode, { minLength: 1, maxLength: 4 }),
  fc
    .array(conversed, { minLength: 1, maxLength: 4 })
    .map((all) => all.map((one, rollout) => ({ ...one, rollout: 2 * rollout }))),
);
const group = fc.record({
  schemaVersion: fc.constant(3),
  runId: name,
  index: count,
  sampleId: name,
  promptText: fc.string(),
  episodes,
  replica: fc.string(),
  weightHashes: fc.dictionary(fc.nat().map(String), fc.constant('a'.repeat(64)), {
    maxKeys: 4,
    noNullPrototype: true,
  }),
});

const shownTokens = fc.array(fc.tuple(fc.string(), logprob, count), { maxLength: 9 }).map((tokens) => ({
  texts: tokens.map(([text]) => text),
  logprobs: tokens.map(([, one]) => one),
  versions: tokens.map(([, , version]) => version),
}));

/** A prompt of one token and two the policy chose. */
export const EPISODE = {
  tokenIds: Int32Array.of(3, 4, 5),
  mask: Uint8Array.of(0, 1, 1),
  logprobs: Float32Array.of(0, -0.5, -1),
  versions: Int32Array.of(-1, 7, 7),
  reward: 0,
  rewards: {},
  text: '',
};

/** Every schema of a message, with messages that fit it. */
export const MESSAGES: readonly (readonly [string, z.ZodType, fc.Arbitrary<unknown>])[] = [
  ['sample', sampleSchema, sample],
  [
    'sampling',
    samplingSchema,
    fc.record({
      temperature: fc.double({ min: 0.1, max: 10, noNaN: true }),
      topK: fc.nat(),
      topP: fc.constant(1),
      maxTokens: fc.integer({ min: 1, max: 100 }),
      stop: fc.array(name, { maxLength: 3 }),
    }),
  ],
  ['completion', completionSchema, completion],
  ['episode', episodeSchema, episode],
  ['group', groupSchema, group],
  [
    'rollout job',
    rolloutJobSchema,
    fc.record({
      kind: fc.constant('rollout'),
      schemaVersion: fc.constant(1),
      index: count,
      sample,
      minVersion: count,
    }),
  ],
  [
    'evaluation job',
    rolloutJobSchema,
    fc.record({
      kind: fc.constant('evaluation'),
      schemaVersion: fc.constant(1),
      minVersion: count,
      part: count,
      parts: fc.integer({ min: 1, max: 9 }),
      samples: fc.array(sample, { minLength: 1, maxLength: 3 }),
    }),
  ],
  [
    'batch',
    batchSchema,
    fc.record({
      schemaVersion: fc.constant(4),
      version: count,
      groups: fc.array(
        fc.record({
          index: count,
          advantages: fc.array(
            fc.oneof(finite, fc.constant(null), fc.float32Array({ noNaN: true, noDefaultInfinity: true })),
          ),
        }),
        { minLength: 1 },
      ),
      statistics: values,
    }),
  ],
  [
    'weights',
    weightsAnnouncementSchema,
    fc.record({
      schemaVersion: fc.constant(1),
      version: count,
      epoch: count,
      path: name,
      sizeBytes: fc.integer({ min: 1 }),
      sha256: fc.constant('a'.repeat(64)),
    }),
  ],
  [
    'dead letter',
    deadLetterSchema,
    fc.record({
      schemaVersion: fc.constant(1),
      kind: fc.constantFrom('rollout', 'job'),
      index: fc.option(count),
      code: name,
      message: fc.string(),
      attempts: count,
      payload: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
      sizeBytes: count,
    }),
  ],
  ['telemetry step', telemetryEventSchema, fc.record({ kind: fc.constant('step'), step: count, values })],
  [
    'telemetry service',
    telemetryEventSchema,
    fc.record({ kind: fc.constant('service'), service: name, replica: name, values }),
  ],
  [
    'telemetry rollout',
    telemetryEventSchema,
    fc.record({
      kind: fc.constant('rollout'),
      index: count,
      version: count,
      prompt: fc.string(),
      texts: fc.array(fc.string()),
      rewards: fc.array(finite),
      rewardsByFunction: fc.array(rewards),
      tokens: fc.array(shownTokens, { maxLength: 8 }),
    }),
  ],
  ['telemetry run', telemetryEventSchema, fc.record({ kind: fc.constant('run'), state: name })],
];
