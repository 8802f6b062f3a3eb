import { recipeSchema } from './recipe';
import { overrideForResume } from './resume-overrides';

const recipe = recipeSchema.parse({
  name: 'test',
  model: 'models/none',
  steps: 5,
  stopAtAccuracy: 0.9,
  maxStaleness: Infinity,
  task: { kind: 'arithmetic' },
  algorithm: { name: 'grpo' },
  rewards: [{ name: 'exact' }],
});

describe('overrideForResume', () => {
  it('changes what does not change what is computed', () => {
    const overrides = [
      'steps=9',
      'stopAtAccuracy=null',
      'policy.replicas=3',
      'limits.jobAttempts=5',
      'evaluation.everySteps=2',
      'trainer.keepCheckpoints=4',
      'trainer.engine=torch',
      'trainer.torch.processes=2',
    ];
    const { stopAtAccuracy, ...changed } = overrideForResume(recipe, overrides);
    expect(changed).toMatchObject({
      steps: 9,
      maxStaleness: Infinity,
      policy: { replicas: 3 },
      limits: { jobAttempts: 5 },
      evaluation: { everySteps: 2, reward: 'exact' },
      trainer: { keepCheckpoints: 4, engine: 'torch', torch: { processes: 2, nodes: 1 } },
    });
    expect(stopAtAccuracy).toBe(undefined);
    expect(overrideForResume(recipe, [])).toEqual(recipe);
  });

  it.each([
    [
      ['seed=2', 'trainer.learningRate=1'],
      /seed: can't change when a run is resumed.*trainer\.learningRate: can't change/s,
    ],
    [['maxStaleness=1'], /maxStaleness: can't change/],
    [['policy={replicas: 2}'], /policy: can't change/],
    [['limits.jobAttempt=2'], /limits\.jobAttempt: unknown key; did you mean limits\.jobAttempts\?/],
    [['steps=0'], /steps/],
    [['steps'], /an override has the form key=value/],
  ])('refuses %j by name', (overrides, message) => {
    expect(() => overrideForResume(recipe, overrides)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(message) as string,
      }) as Error,
    );
  });

  it('refuses other steps where the learning rate depends on them', () => {
    const cosine = { ...recipe, trainer: { ...recipe.trainer, schedule: 'cosine' as const } };
    expect(() => overrideForResume(cosine, ['steps=9'])).toThrow(
      /steps: the cosine schedule of the learning rate ends at step 5/,
    );
    expect(overrideForResume(cosine, ['policy.replicas=2'])).toMatchObject({ policy: { replicas: 2 } });
  });
});
