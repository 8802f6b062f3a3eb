import { createEngine, type Engine } from '@forge/engine';
import { grpoLoss } from '@forge/rl';
import { engineCandidates } from '@forge/testing';
import { parametersHash, readTensors } from '@forge/weights';
import { generatorOf, sampling, tiny } from './generation/generator.fixture';
import { initializeParameters } from './hugging-face/initialize';
import { TrainStep } from './training/train-step';

const [host, ...others] = engineCandidates();

/** Three steps on rows of several lengths, with one micro-batch each or more; loss, norm and parameters after them. */
async function trained(engine: Engine, microBatchTokens: number, recompute = false) {
  const step = await TrainStep.create({
    ...{ engine, config: tiny, parameters: initializeParameters(tiny, 1), microBatchTokens },
    ...{ loss: grpoLoss({ clipEpsilon: 0.2, klCoefficient: 0 }), temperature: 0.9, logitsChunk: 8 },
    recompute,
    optimizer: {
      ...{ learningRate: 0.01, schedule: 'constant', warmupSteps: 0, totalSteps: 10 },
      ...{ betas: [0.9, 0.95], epsilon: 1e-3, weightDecay: 0.1, maxGradientNorm: 1 },
    },
  });
  const episodes = [7, 5, 12, 9].map((length, row) => ({
    tokenIds: Array.from({ length }, (_, t) => (3 * t + 5 * row) % tiny.vocabSize),
    mask: Array.from({ length }, (_, t): 0 | 1 => (t < 2 ? 0 : 1)),
    logprobs: Array.from({ length }, (_, t) => (t < 2 ? 0 : -2.4)),
    versions: Array.from({ length }, (_, t) => (t < 2 ? -1 : 0)),
    advantage: row % 2 === 0 ? 1 : -0.7,
  }));
  const results = [];
  for (let i = 0; i < 3; i++) results.push(await step.step(episodes));
  const parameters = await readTensors(step.parameters());
  await step.close();
  return { results, parameters };
}

async function generated(engine: Engine, temperature: number) {
  const generator = await generatorOf({ engine, chunk: 4 });
  const completions = await generator.generate({
    rolloutIds: ['a', 'b', 'c', 'd'],
    promptTokenIds: [1, 2, 3, 4, 5],
    seed: 3,
    sampling: sampling({
      maxTokens: 20,
      ...(temperature > 0 ? { temperature, topP: 0.9 } : { temperature }),
    }),
  });
  await generator.close();
  return completions.map(({ tokenIds, logprobs }) => ({ tokenIds, logprobs }));
}

for (const { name, options, missing } of others) {
  const title = missing === null ? name : `${name} (skipped: ${missing})`;
  (missing === null ? describe : describe.skip)(title, () => {
    const engine = createEngine(options);
    const reference = createEngine(host!.options);

    it.each([
      ['in one micro-batch', 1000, false],
      ['in several', 24, false],
      ['with recomputed activations', 24, true],
    ])('trains as the CPU does, %s', async (_, microBatchTokens, recompute) => {
      const [expected, actual] = [
        await trained(reference, microBatchTokens),
        await trained(engine, microBatchTokens, recompute),
      ];
      actual.results.forEach((result, i) => {
        const { loss, gradientNorm } = expected.results[i]!;
        expect(Math.abs(result.loss - loss)).toBeLessThan(1e-4);
        expect(Math.abs(result.gradientNorm - gradientNorm)).toBeLessThan(1e-4 * gradientNorm);
      });
      const start = initializeParameters(tiny, 1);
      for (const [key, { data }] of expected.parameters) {
        const found = actual.parameters.get(key)!.data;
        data.forEach((x, i) => expect(Math.abs(found[i]! - x)).toBeLessThan(1e-4 * Math.max(1, Math.abs(x))));
        expect(data.some((x, i) => Math.abs(x - start.get(key)!.data[i]!) > 1e-3)).toBe(true);
      }
    });

    it('trains to the same bits again', async () => {
      const [first, second] = [await trained(engine, 24), await trained(engine, 24)];
      expect(parametersHash(second.parameters)).toBe(parametersHash(first.parameters));
    });

    it.each([
      ['greedily', 0],
      ['by sampling', 0.8],
    ])('generates the tokens of the CPU, %s', async (_, temperature) => {
      const [expected, actual] = [
        await generated(reference, temperature),
        await generated(engine, temperature),
      ];
      expect(actual.map(({ tokenIds }) => tokenIds)).toEqual(expected.map(({ tokenIds }) => tokenIds));
      actual.forEach(({ logprobs }, row) =>
        logprobs.forEach((x, t) => expect(Math.abs(x - expected[row]!.logprobs[t]!)).toBeLessThan(1e-4)),
      );
    });
  });
}
