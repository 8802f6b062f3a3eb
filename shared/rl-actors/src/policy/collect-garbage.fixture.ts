import { setImmediate, setTimeout } from 'node:timers/promises';
import { createEngine } from '@forge/engine';
import { Generator, initializeParameters, type ModelConfig } from '@forge/model';
import { samplingSchema } from '@forge/contracts';
import type { Parameters } from '@forge/weights';
import { collectGarbage } from './collect-garbage';

/** 3.3 M parameters, 13 MB. */
const config: ModelConfig = {
  architecture: 'llama',
  hiddenSize: 256,
  layers: 3,
  heads: 4,
  kvHeads: 2,
  headDim: 64,
  intermediateSize: 1024,
  vocabSize: 1024,
  maxPositions: 64,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 10_000, scaling: { type: 'none' } },
  tieWordEmbeddings: true,
  attentionBias: false,
  attentionOutputBias: false,
  mlpBias: false,
  qkNorm: false,
  initializerRange: 0.02,
};

/** Copies of the weights in this process while each of four versions comes and after it is in use, as JSON. */
async function main(): Promise<void> {
  const model = initializeParameters(config, 1);
  const sizeBytes = [...model.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
  const read = (): Parameters =>
    new Map([...model].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]));
  const before = process.memoryUsage().arrayBuffers;
  const copies = (): number => (process.memoryUsage().arrayBuffers - before) / sizeBytes;
  let replaced = 0;
  // Functions of their own: a frame that waits keeps what it has passed on.
  const create = (): Promise<Generator> =>
    Generator.create({
      ...{ engine: createEngine({ threads: 1 }), config, parameters: read(), version: 0, endTokenIds: [] },
      ...{ maxBatch: 2, chunk: 2, weightMode: 'inputs', decodeText: String },
      onReplaced: () => (replaced += 1),
    });
  const apply = (version: number): Promise<void> => generator.applyWeights(version, read());
  const generator = await create();
  const request = { promptTokenIds: [1, 2], rolloutIds: ['a'], seed: 1 };
  const sampling = samplingSchema.parse({ maxTokens: 8 });
  const coming: number[] = [];
  const inUse: number[] = [];
  for (const version of [1, 2, 3, 4]) {
    const running = generator.generate({ ...request, sampling });
    await apply(version);
    coming.push(copies());
    await running;
    while (replaced < version) await setImmediate();
    await setImmediate();
    collectGarbage();
    // V8 gives the memory back in a thread of its own.
    for (let looks = 0; copies() >= 1.3 && looks < 1000; looks++) await setTimeout(10);
    inUse.push(copies());
  }
  await generator.close();
  process.stdout.write(JSON.stringify({ coming, inUse }));
}

main().catch((error: unknown) => {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.exitCode = 1;
});
