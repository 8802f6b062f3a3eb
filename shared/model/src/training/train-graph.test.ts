import { evaluate, type Values } from '@forge/graph';
import type { Parameters } from '@forge/weights';
import { cutMicroBatches, type MicroBatch, type TrainEpisode } from './micro-batches';
import { buildTrainGraph } from './train-graph';
import { config, episodesOf, loss, noise, parametersOf, trainStep } from './train-step.fixture';

/** Feeds of the graph, for the reference interpreter. */
function referenceFeeds(parameters: Parameters, batch: MicroBatch, episodes: number): Record<string, Values> {
  const { rows, width, distinct } = batch;
  const grid = (data: Iterable<number | bigint>, count = rows): Values => ({
    shape: [count, width],
    data: Float64Array.from(data as Iterable<number>, Number),
  });
  const vector = (data: BigInt64Array): Values => ({
    shape: [data.length],
    data: Float64Array.from(data, Number),
  });
  const scalar = (value: number): Values => ({ shape: [], data: Float64Array.of(value) });
  return {
    ...Object.fromEntries(
      [...parameters].map(([name, { shape, data }]) => [name, { shape, data: Float64Array.from(data) }]),
    ),
    tokens: grid(batch.tokens, distinct),
    positions: grid(
      Array.from({ length: distinct * width }, (_, at) => at % width),
      distinct,
    ),
    rowOf: vector(batch.rowOf),
    mask: grid(batch.mask),
    behaviour: grid(batch.behaviour),
    reference: grid(batch.reference),
    advantages: grid(batch.advantages),
    trainedIndex: grid(batch.trainedIndex, distinct),
    trainedPositions: vector(batch.trainedPositions),
    targets: vector(batch.targets),
    tokenCount: scalar(batch.mask.reduce((sum, one) => sum + one, 0)),
    sequenceCount: scalar(episodes),
  };
}

describe('buildTrainGraph', () => {
  const different = episodesOf([6, 4, 5]);
  const [first, second] = different as [TrainEpisode, TrainEpisode];
  // Two more of the first one's tokens, whose own terms are others.
  const alike = [second, different[2]!].map(({ advantage }, k) => ({
    ...first,
    advantage,
    logprobs: Array.from(first.logprobs, (logprob) => logprob * (1 + 0.05 * (k + 1))),
  }));
  const episodes = [...different, ...alike];
  const [batch] = cutMicroBatches(episodes, 1000);

  it.each([
    ['kept activations and a tied head', { tied: true, recompute: false }],
    ['recomputed activations and a head of its own', { tied: false, recompute: true }],
  ])('has the gradient of the whole loss that finite differences give, with %s', (_, { tied, recompute }) => {
    const model = { ...config, tieWordEmbeddings: tied };
    const parameters = parametersOf(model, 1);
    const graph = buildTrainGraph(parameters, {
      config: model,
      loss,
      temperature: 0.9,
      logitsChunk: 4,
      recompute,
    });
    const feeds = referenceFeeds(parameters, batch!, episodes.length);
    const gradients = evaluate(graph.gradients, feeds);
    for (const name of parameters.keys()) {
      const { shape, data } = feeds[name]!;
      const direction = data.map((_x, i) => noise(i, 11) - 0.5);
      const lossAt = (step: number): number =>
        evaluate(
          { loss: graph.loss },
          { ...feeds, [name]: { shape, data: data.map((x, i) => x + step * direction[i]!) } },
        ).loss.data[0]!;
      const slope = (lossAt(1e-5) - lossAt(-1e-5)) / 2e-5;
      const found = gradients[name]!.data.reduce((sum, g, i) => sum + g * direction[i]!, 0);
      const agrees = Math.abs(found - slope) < 1e-7 + 1e-5 * Math.abs(slope);
      expect({ name, agrees, found, slope }).toMatchObject({ agrees: true });
      expect(found).not.toBe(0);
    }
  });

  it('gives episodes alike the sum of what each has alone', () => {
    const parameters = parametersOf(config, 1);
    const options = { config, loss, temperature: 0.9, logitsChunk: 4, recompute: false };
    const graph = buildTrainGraph(parameters, options);
    const together = referenceFeeds(parameters, batch!, episodes.length);
    expect([batch!.rows, batch!.distinct]).toEqual([5, 3]);
    const counts = { tokenCount: together['tokenCount']!, sequenceCount: together['sequenceCount']! };
    const sums = new Map<string, number[]>();
    for (const episode of episodes) {
      const [alone] = cutMicroBatches([episode], 1000);
      const feeds = { ...referenceFeeds(parameters, alone!, 1), ...counts };
      for (const [name, { data }] of Object.entries(evaluate(graph.gradients, feeds)))
        sums.set(
          name,
          [...data].map((x, i) => x + (sums.get(name)?.[i] ?? 0)),
        );
    }
    for (const [name, { data }] of Object.entries(evaluate(graph.gradients, together)))
      data.forEach((x, i) => expect(x).toBeCloseTo(sums.get(name)![i]!, 12));
  });

  it('gives the step the loss and gradient norm of the reference interpreter', async () => {
    const parameters = parametersOf(config, 1);
    const options = { config, loss, temperature: 0.9, logitsChunk: 4, recompute: false };
    const graph = buildTrainGraph(parameters, options);
    const feeds = referenceFeeds(parameters, batch!, episodes.length);
    const expected = evaluate({ loss: graph.loss }, feeds).loss.data[0]!;
    const gradients: Record<string, Values> = evaluate(graph.gradients, feeds);
    const norm = Math.hypot(...Object.values(gradients).flatMap(({ data }) => [...data]));
    const step = await trainStep();
    const result = await step.step(episodes);
    expect(result.loss).toBeCloseTo(expected, 5);
    expect(result.gradientNorm).toBeCloseTo(norm, 5);
    await step.close();
  });
});
