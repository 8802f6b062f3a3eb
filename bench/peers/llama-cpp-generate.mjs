// node llama-cpp-generate.mjs DIR FILE THREADS: the work of ../engines/generate.cjs by the node-llama-cpp installed in DIR, on a GGUF file.
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [dir, file, threads] = process.argv.slice(2);
const [ROWS, TOKENS, PROMPT_TOKENS, ROUNDS] = [32, 64, 36, 2];
const entry = createRequire(join(resolve(dir), 'package.json')).resolve('node-llama-cpp');
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry));

const llama = await getLlama({
  gpu: false,
  build: 'never',
  maxThreads: Number(threads),
  logLevel: LlamaLogLevel.error,
});
const model = await llama.loadModel({ modelPath: file });
const positions = PROMPT_TOKENS + TOKENS + 4;
const context = await model.createContext({
  sequences: ROWS,
  contextSize: positions,
  batchSize: ROWS * PROMPT_TOKENS,
});
const prompt = Array.from({ length: PROMPT_TOKENS }, (_, i) => 100 + i * 7);
const sequences = Array.from({ length: ROWS }, () => context.getSequence());

async function complete(sequence) {
  await sequence.clearHistory();
  let tokens = 0;
  for await (const _ of sequence.evaluate(prompt, {
    temperature: 1,
    topK: 0,
    topP: 1,
    yieldEogToken: true,
  })) {
    tokens += 1;
    if (tokens === TOKENS) return;
  }
}

async function generate() {
  const startedMs = performance.now();
  await Promise.all(sequences.map(complete));
  return (1000 * ROWS * TOKENS) / (performance.now() - startedMs);
}

await generate();
const rates = [];
for (let round = 0; round < ROUNDS; round++) rates.push(await generate());
rates.sort((a, b) => a - b);
const peakMiB = process.resourceUsage().maxRSS / 1024;
console.log(JSON.stringify({ tokensPerSecond: rates[rates.length >> 1], peakMiB }));
process.exit(0);
