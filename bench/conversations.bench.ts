import { isDeepStrictEqual } from 'node:util';
import { samplingSchema } from '@forge/contracts';
import { createEngine } from '@forge/engine';
import { Generator, initializeParameters, parameterCount, type ModelConfig } from '@forge/model';
import { smolLm2Shape } from './generation.bench';

const TURNS = 8;
const SYSTEM_TOKENS = 256;
/** Tokens that come before every answer: the user's, or what a tool said. */
const ADDED_TOKENS = 48;
const ANSWER_TOKENS = 32;
const THREADS = 2;
const CACHE_BYTES = 256 * 2 ** 20;

const maxPositions = 1024;
const shapes: { config: ModelConfig; conversations: number; rounds: number }[] = [
  {
    config: {
      ...{ ...smolLm2Shape, maxPositions, hiddenSize: 96, layers: 4 },
      ...{ heads: 4, kvHeads: 4, headDim: 24, intermediateSize: 256, vocabSize: 512 },
    },
    conversations: 4,
    rounds: 5,
  },
  { config: { ...smolLm2Shape, maxPositions }, conversations: 2, rounds: 1 },
];

/** Tokens of a text that nobody has seen, which differ by `seed`. */
const text = (count: number, seed: number, { vocabSize }: ModelConfig): number[] =>
  Array.from({ length: count }, (_, t) => (seed * 7919 + t * t * 31 + t * 17) % vocabSize);

interface Held {
  answers: number[][];
  wallMs: number;
  cpuMs: number;
}

/** Holds conversations side by side, turn by turn, behind one system prompt. */
async function hold(
  generator: Generator,
  { config, conversations }: (typeof shapes)[number],
  round: number,
  turns = TURNS,
): Promise<Held> {
  const sampling = samplingSchema.parse({ maxTokens: ANSWER_TOKENS });
  const said = Array.from({ length: conversations }, () => text(SYSTEM_TOKENS, round, config));
  const answers: number[][] = [];
  const [startedAt, cpu] = [performance.now(), process.cpuUsage()];
  for (let turn = 0; turn < turns; turn++) {
    await Promise.all(
      said.map(async (tokens, i) => {
        tokens.push(...text(ADDED_TOKENS, 1000 * round + 10 * turn + i, config));
        const asked = { promptTokenIds: [...tokens], rolloutIds: [`${i}-${turn}`], seed: round, sampling };
        const [completion] = await generator.generate(asked);
        const { tokenIds } = completion!;
        tokens.push(...tokenIds);
        answers.push(tokenIds);
      }),
    );
  }
  const { user, system } = process.cpuUsage(cpu);
  return { answers, wallMs: performance.now() - startedAt, cpuMs: (user + system) / 1000 };
}

async function measure(shape: (typeof shapes)[number]): Promise<void> {
  const { config, conversations, rounds } = shape;
  const counts = { computed: 0, reused: 0 };
  const make = (prefixCacheBytes: number): Promise<Generator> =>
    Generator.create({
      ...{ engine: createEngine({ threads: THREADS }), config, parameters: initializeParameters(config, 1) },
      ...{ version: 0, endTokenIds: [], maxBatch: conversations, chunk: 16, weightMode: 'initializers' },
      ...{ decodeText: String, prefixCacheBytes },
      onPrefilled: ({ computed, reused }) => {
        if (prefixCacheBytes === 0) return;
        counts.computed += computed;
        counts.reused += reused;
      },
    });
  const [anew, kept] = [await make(0), await make(CACHE_BYTES)];
  const pairs: { anew: Held; kept: Held }[] = [];
  for (const generator of [anew, kept]) await hold(generator, shape, 0, 1);
  for (let round = 1; round <= rounds; round++) {
    const pair = { anew: await hold(anew, shape, round), kept: await hold(kept, shape, round) };
    if (!isDeepStrictEqual(pair.anew.answers, pair.kept.answers)) throw new Error('the answers differ');
    pairs.push(pair);
  }
  const least = (of: (pair: (typeof pairs)[number]) => number): number => Math.min(...pairs.map(of));
  const share = counts.reused / (counts.computed + counts.reused);
  console.log(
    `${(parameterCount(config) / 1e6).toFixed(1)} M parameters, ${conversations} conversations side by side: ${(100 * share).toFixed(0)} % of prompt tokens taken from blocks`,
  );
  for (const time of ['wallMs', 'cpuMs'] as const) {
    const [slow, fast] = [least((pair) => pair.anew[time]), least((pair) => pair.kept[time])];
    console.log(
      `  ${time === 'wallMs' ? 'time' : 'CPU time'}, rendered anew ${slow.toFixed(0)} ms, kept ${fast.toFixed(0)} ms: ratio ${(slow / fast).toFixed(2)}`,
    );
  }
  await Promise.all([anew.close(), kept.close()]);
}

/**
 * Conversations of eight turns, with the keys and values of their prompts kept between turns and computed anew for each
 * (`policy.prefixCacheMb` 0), by turns; the answers are the same to the token.
 */
export async function run(): Promise<void> {
  console.log(
    `conversations of ${TURNS} turns: ${SYSTEM_TOKENS} tokens before them, ${ADDED_TOKENS} before each answer of ${ANSWER_TOKENS}, ${THREADS} threads`,
  );
  for (const shape of shapes) await measure(shape);
}
