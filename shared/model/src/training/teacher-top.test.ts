import { createEngine } from '@forge/engine';
import { opd } from '@forge/rl';
import { LogprobScorer } from '../generation/logprob-scorer';
import { tiny } from '../generation/generator.fixture';
import { initializeParameters } from '../hugging-face/initialize';
import type { TrainEpisode } from './micro-batches';
import { TrainStep, type TrainStepOptions } from './train-step';

const engine = createEngine({ threads: 1 });
const [student, teacher] = [initializeParameters(tiny, 1), initializeParameters(tiny, 2)];
const scorerOf = (parameters: typeof student, top: number, topBelow = tiny.vocabSize) =>
  LogprobScorer.create({
    ...{ engine, config: tiny, parameters, maxBatchTokens: 12, temperature: 0.8, top, topBelow },
    logitsChunk: 5,
  });

const sequences = [
  [1, 2, 3, 4, 5],
  [2, 3, 1],
  [4, 4, 4, 1, 2, 3],
];
const masks = [
  [0, 0, 1, 0, 1],
  [1, 1, 1],
  [0, 0, 0, 1, 1, 1],
];

/** The log-prob of every token of the vocabulary in each place but the first, [T - 1][V]. */
async function wholeOf(parameters: typeof student, sequence: readonly number[]): Promise<number[][]> {
  const scorer = await scorerOf(parameters, 0);
  const places = sequence
    .slice(1)
    .map((_, t) =>
      scorer.score(
        Array.from({ length: tiny.vocabSize }, (__, token) => [...sequence.slice(0, t + 1), token]),
      ),
    );
  const scores = await Promise.all(places);
  await scorer.release();
  return scores.map((rows) => rows.map((row) => row.at(-1)!));
}

async function episodesWith(top: number): Promise<TrainEpisode[]> {
  const [judge, own] = [await scorerOf(teacher, top), await scorerOf(student, 0)];
  const [judged, logprobs] = [await judge.judge(sequences), await own.score(sequences)];
  await Promise.all([judge.release(), own.release()]);
  return sequences.map((tokenIds, i) => {
    const chosen = <A extends Int32Array | Float32Array>(all: A): A =>
      all.filter((_, k) => masks[i]![Math.floor(k / top)] === 1) as A;
    const { tokenIds: ids, logprobs: likely } = judged[i]!.top!;
    return {
      ...{ tokenIds, mask: masks[i]!, versions: masks[i]!.map((m) => m - 1), advantage: 0 },
      logprobs: logprobs[i]!.map((logprob, t) => logprob * masks[i]![t]!),
      referenceTop: { tokenIds: chosen(ids), logprobs: chosen(likely) },
    };
  });
}

const stepOf = (top: number, changes: Partial<TrainStepOptions> = {}): Promise<TrainStep> =>
  TrainStep.create({
    ...{ engine, config: tiny, parameters: student, temperature: 0.8 },
    ...{ loss: opd({ teacherTop: top }).loss, referenceTop: top },
    optimizer: {
      ...{ learningRate: 0.01, schedule: 'constant', warmupSteps: 0, totalSteps: 10 },
      ...{ betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1 },
    },
    ...{ microBatchTokens: 1000, logitsChunk: 4, recompute: false },
    ...changes,
  });

describe('LogprobScorer.judge', () => {
  it('tells the likeliest tokens in each place, of those that it may', async () => {
    const scorer = await scorerOf(teacher, 3, tiny.vocabSize - 2);
    const found = await scorer.judge(sequences);
    expect(found.map(({ logprobs }) => logprobs)).toEqual(await scorer.score(sequences));
    for (const [i, sequence] of sequences.entries()) {
      const { tokenIds, logprobs } = found[i]!.top!;
      expect([...tokenIds.subarray(0, 3), ...logprobs.subarray(0, 3)]).toEqual([0, 0, 0, 0, 0, 0]);
      for (const [t, all] of (await wholeOf(teacher, sequence)).entries()) {
        const order = [...all.keys()].slice(0, -2).sort((a, b) => all[b]! - all[a]!);
        const here = 3 * (t + 1);
        expect([...tokenIds.subarray(here, here + 3)]).toEqual(order.slice(0, 3));
        order.slice(0, 3).forEach((token, k) => expect(logprobs[here + k]).toBeCloseTo(all[token]!, 5));
      }
    }
    await scorer.release();
  });

  it('refuses to tell more tokens than there are', async () => {
    await expect(scorerOf(teacher, 4, 3)).rejects.toThrow('found 4 likeliest tokens, expected at most the 3');
  });
});

describe('a train step with a teacher', () => {
  it('has the divergence of whole distributions as its loss, and lowers it', async () => {
    const step = await stepOf(tiny.vocabSize);
    const episodes = await episodesWith(tiny.vocabSize);
    const places: number[] = [];
    for (const [i, sequence] of sequences.entries()) {
      const [mine, taught] = [await wholeOf(student, sequence), await wholeOf(teacher, sequence)];
      mine.forEach((own, t) => {
        if (masks[i]![t + 1] !== 1) return;
        places.push(own.reduce((sum, x, v) => sum + Math.exp(x) * (x - taught[t]![v]!), 0));
      });
    }
    const first = await step.step(episodes);
    expect(first.loss).toBeCloseTo(places.reduce((a, b) => a + b, 0) / places.length, 4);
    expect(first.metrics['teacher_divergence']).toBeCloseTo(first.loss, 5);
    for (let i = 0; i < 5; i++) await step.step(episodes);
    expect((await step.step(episodes)).loss).toBeLessThan(first.loss / 2);
    expect(await step.logprobs([1, 2, 3])).toHaveLength(2);
    await step.close();
  });

  it('has the same loss and gradient cut into micro-batches, and in several updates', async () => {
    const episodes = await episodesWith(4);
    const [whole, cut] = [await stepOf(4), await stepOf(4, { microBatchTokens: 5 })];
    const [a, b] = [await whole.step(episodes), await cut.step(episodes)];
    expect(b.loss).toBeCloseTo(a.loss, 5);
    expect(b.gradientNorm / a.gradientNorm).toBeCloseTo(1, 4);
    const several = await stepOf(4, { updatesPerBatch: 2, minibatches: 2 });
    expect(Number.isFinite((await several.step(episodes)).loss)).toBe(true);
    await Promise.all([whole, cut, several].map((step) => step.close()));
  });

  it('refuses episodes without enough tokens of the teacher', async () => {
    const [step, episodes] = [await stepOf(4), await episodesWith(3)];
    await expect(step.step(episodes)).rejects.toThrow(
      'episode 0: referenceTop has 6 tokens, expected 4 for each with mask 1: 8',
    );
    await step.close();
  });
});
