import { initializeParameters } from '../hugging-face/initialize';
import { supervisedEpisode, supervisedLoss } from './supervised';
import { config, optimizer, trainStep } from './train-step.fixture';

describe('supervised training', () => {
  const examples = [
    supervisedEpisode([1, 2, 3], [4, 5]),
    supervisedEpisode([3, 2, 1], [5, 6, 7]),
    supervisedEpisode([2, 2], [8]),
  ];

  it('trains the answer and not the prompt', () => {
    expect(examples[0]).toMatchObject({
      tokenIds: [1, 2, 3, 4, 5],
      mask: [0, 0, 0, 1, 1],
      versions: [-1, -1, -1, -1, -1],
    });
  });

  it('learns one batch by heart, from the loss of guessing', async () => {
    const step = await trainStep({
      parameters: initializeParameters({ ...config, initializerRange: 0.02 }, 1),
      loss: supervisedLoss,
      temperature: 1,
      optimizer: { ...optimizer, epsilon: 1e-8, weightDecay: 0, learningRate: 0.02 },
    });
    const first = await step.step(examples);
    expect(first.loss).toBeCloseTo(Math.log(config.vocabSize), 1);
    expect(first).toMatchObject({ tokens: 6, logprobMismatch: 0, logprobMismatchAnyVersion: 0, metrics: {} });
    let last = first.loss;
    for (let i = 0; i < 60; i++) last = (await step.step(examples)).loss;
    expect(last).toBeLessThan(0.02);
  });
});
