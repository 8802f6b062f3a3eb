// node generate.cjs KIND ENGINE MATH_MODE THREADS [initializers|inputs]: a line of JSON with tokens/s of 32 rows of 64 tokens and the peak of memory.
const { samplingSchema } = require('@forge/contracts');
const { createEngine } = require('@forge/engine');
const { Generator } = require('@forge/model');
const { median, modelOf, peakMiB } = require('./model.cjs');

const [kind, engine, mathMode, threads, weightMode = 'initializers'] = process.argv.slice(2);
const [ROWS, TOKENS, PROMPT_TOKENS, ROUNDS] = [32, 64, 36, 2];

async function main() {
  const generator = await Generator.create({
    ...modelOf(kind),
    engine: createEngine({ engine, mathMode, threads: Number(threads) }),
    ...{ version: 0, endTokenIds: [], maxBatch: ROWS, chunk: 32, weightMode },
    decodeText: String,
  });
  const promptTokenIds = Array.from({ length: PROMPT_TOKENS }, (_, i) => 100 + i * 7);
  const generate = async (seed) => {
    const rolloutIds = Array.from({ length: ROWS }, (_, i) => `${seed}-${i}`);
    const sampling = samplingSchema.parse({ maxTokens: TOKENS, temperature: 1 });
    const startedAt = performance.now();
    await generator.generate({ promptTokenIds, rolloutIds, seed, sampling });
    return (1000 * ROWS * TOKENS) / (performance.now() - startedAt);
  };
  await generate(0);
  const rates = [];
  for (let round = 1; round <= ROUNDS; round++) rates.push(await generate(round));
  console.log(JSON.stringify({ tokensPerSecond: median(rates), peakMiB: peakMiB() }));
}

main().then(() => process.exit(0));
