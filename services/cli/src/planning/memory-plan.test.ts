import type { Recipe } from '@forge/config';
import { parameterCount, valueParameterCount, type ModelConfig } from '@forge/model';
import { memoryPlan, type ServicePlan } from './memory-plan';
import { midConfig, midModels, recipeWith, smallConfig } from './planning.fixture';

const MIB = 2 ** 20;

function planOf(service: string, config: ModelConfig, recipe: Recipe, promptTokens = 6): ServicePlan {
  return memoryPlan(recipe, { config, reference: config }, promptTokens).find(
    (plan) => plan.service === service,
  )!;
}

/** Batches of 2,048 tokens in episodes of 64, in one micro-batch. */
const shape = [
  'batch.groups=8',
  'algorithm.groupSize=4',
  'sampling.maxTokens=58',
  'trainer.microBatchTokens=2048',
];

describe('memoryPlan', () => {
  it('counts what a trainer holds, part by part', () => {
    const { parts, bytes } = planOf('trainer', midConfig, recipeWith(...shape));
    const weights = 4 * parameterCount(midConfig);
    expect(parts).toMatchObject({
      weights,
      moments: 2 * weights,
      gradients: 2 * weights,
      // 4 x 512 + 3 x 512 + 3 x 512 + 4 x 1408 values a token and layer, and 1.25 attention weights a head and key.
      activations: 2048 * 8 * (10_752 + 1.25 * 8 * 64) * 4,
      logits: 3 * 1024 * 8192 * 4,
      head: 3 * 8192 * 512 * 4,
    });
    expect(bytes).toBe(Object.values(parts).reduce((sum, one) => sum + one, 0));
  });

  it('counts every rank of a trainer in PyTorch, which keeps the logits of its whole micro-batch', () => {
    const weights = 4 * parameterCount(midConfig);
    const inTorch = (processes: number) =>
      planOf(
        'trainer',
        midConfig,
        recipeWith(...shape, 'trainer.engine=torch', `trainer.torch.processes=${processes}`),
      );
    const [one, two] = [inTorch(1).parts, inTorch(2).parts];
    expect(one).toMatchObject({ weights, moments: 2 * weights, gradients: weights, publishing: 0 });
    expect(one.logits).toBe(3 * 2048 * 8192 * 4);
    expect([one.process, two.process]).toEqual([640 * MIB, 1700 * MIB]);
    expect(two).toMatchObject({ weights, publishing: 3 * weights, logits: 2 * one.logits! });
    expect(two.activations).toBe(2 * one.activations!);
  });

  it('counts what a policy keeps of prompts, where a prompt can be long enough for that', () => {
    const prefixes = (...overrides: string[]) =>
      planOf('policy', midConfig, recipeWith(...shape, ...overrides)).parts.prefixes;
    expect(prefixes('sampling.maxTokens=59')).toBe(256 * MIB);
    expect(prefixes('sampling.maxTokens=59', 'policy.prefixCacheMb=10')).toBe(10 * MIB);
    expect(prefixes('sampling.maxTokens=58')).toBe(0);
  });

  // Peaks of VmHWM, measured with onnxruntime 1.30 and TensorFlow 2.20 on two cores; npm run bench -- memory does it again.
  it.each<[string, ModelConfig, string[], number]>([
    ['trainer', smallConfig, shape, 248],
    ['trainer', midConfig, shape, 1637],
    ['trainer', midConfig, [...shape, 'trainer.engine=tensorflow'], 1516],
    ['policy', smallConfig, [...shape, 'policy.maxBatch=32'], 184],
    ['policy', midConfig, [...shape, 'policy.maxBatch=32'], 882],
    ['policy', midConfig, [...shape, 'policy.maxBatch=32', 'policy.weights=inputs'], 668],
    ['policy', midConfig, [...shape, 'policy.maxBatch=32', 'policy.engine=tensorflow'], 1103],
    ['trainer', smallConfig, [...shape, 'adapter.rank=16'], 249],
    ['trainer', midConfig, [...shape, 'adapter.rank=16'], 1424],
    ['trainer', midConfig, [...shape, 'adapter.rank=16', 'trainer.engine=tensorflow'], 1381],
    ['policy', midConfig, [...shape, 'adapter.rank=16', 'policy.maxBatch=32'], 602],
    [
      'policy',
      midConfig,
      [...shape, 'adapter.rank=16', 'policy.maxBatch=32', 'policy.engine=tensorflow'],
      978,
    ],
  ])('is within 25 %% of what a %s took (%#)', (service, config, overrides, measuredMib) => {
    const ratio = planOf(service, config, recipeWith(...overrides)).bytes / (measuredMib * MIB);
    expect(ratio).toBeGreaterThan(0.75);
    expect(ratio).toBeLessThan(1.25);
  });

  it('counts one more sum of gradients for several micro-batches, and no more activations', () => {
    const [one, several] = [shape, [...shape, 'batch.groups=16']].map((overrides) =>
      planOf('trainer', midConfig, recipeWith(...overrides)),
    );
    const weights = 4 * parameterCount(midConfig);
    expect(several!.bytes - one!.bytes).toBe(weights);
  });

  it('counts what several updates go back to, and a value model with it', () => {
    const planned = (...overrides: string[]) =>
      planOf('trainer', midConfig, recipeWith(...shape, ...overrides)).parts;
    const [plain, several] = [planned(), planned('algorithm.minibatches=2')];
    const weights = 4 * parameterCount(midConfig);
    expect([plain.held, several.held, plain.critic]).toEqual([0, 3 * weights, 0]);
    const values = 4 * valueParameterCount(midConfig);
    const [one, two] = [
      planned('algorithm.name=ppo'),
      planned('algorithm.name=ppo', 'algorithm.updatesPerBatch=2'),
    ];
    expect(one.critic! - one.activations!).toBe(5 * values);
    expect(two.critic! - one.critic!).toBe(3 * values);
    expect(planned('algorithm.name=ppo', 'trainer.engine=tensorflow').critic).toBe(4 * values);
  });

  it('counts less than two layers of activations more when they are recomputed', () => {
    const { parts } = planOf('trainer', midConfig, recipeWith(...shape, 'trainer.recompute=true'));
    const kept = planOf('trainer', midConfig, recipeWith(...shape)).parts;
    expect(parts.activations! / kept.activations!).toBeCloseTo(2 / 8 + 512 / (10_752 + 640), 6);
  });

  it('has a reference where the recipe has, and its replicas', () => {
    expect(memoryPlan(recipeWith(), midModels, 6).map(({ service }) => service)).toEqual([
      'trainer',
      'policy',
      'others',
    ]);
    const plans = memoryPlan(recipeWith('algorithm.klCoefficient=0.1', 'policy.replicas=3'), midModels, 6);
    expect(plans.map(({ service, replicas }) => [service, replicas])).toEqual([
      ['trainer', 1],
      ['policy', 3],
      ['reference', 1],
      ['others', 1],
    ]);
  });

  it('has gateways where agents make the rollouts', () => {
    const recipe = recipeWith('rollout.sessions=true', 'evaluation.everySteps=0', 'gateway.replicas=2');
    const gateways = memoryPlan(recipe, midModels, 6).filter(({ service }) => service === 'gateway');
    expect(gateways).toMatchObject([{ replicas: 2, bytes: 125 * MIB }]);
  });

  it('counts a reward model by its own size, for every replica, with no more tokens than it reads', () => {
    const model = 'rewards.0={ name: model, model: scorer, maxBatchTokens: 4096 }';
    const planned = (...overrides: string[]) => {
      const recipe = recipeWith(...shape, 'reward.replicas=2', model, ...overrides);
      const rewardModel: ModelConfig = { ...midConfig, head: 'score' };
      return memoryPlan(recipe, { config: smallConfig, reference: smallConfig, rewardModel }, 6).find(
        ({ service }) => service === 'reward',
      )!;
    };
    const { replicas, parts, bytes } = planned();
    const weights = 4 * parameterCount({ ...midConfig, head: 'score' });
    expect(weights).toBe(4 * (parameterCount(midConfig) + midConfig.hiddenSize));
    // 32 completions in rows of 64: 2,048 tokens of one layer.
    const layer = 2048 * (10_752 + 1.25 * 8 * 64) * 4;
    expect(parts).toMatchObject({ weights, 'engine weights': weights, scoring: layer });
    expect([replicas, bytes]).toEqual([2, Object.values(parts).reduce((sum, one) => sum + one, 0)]);
    expect(planned('rewards.0.maxTokens=32', 'rewards.0.truncation=end').parts.scoring).toBe(
      1024 * (10_752 + 1.25 * 8 * 32) * 4,
    );
    expect(memoryPlan(recipeWith(), midModels, 6).map(({ service }) => service)).not.toContain('reward');
  });

  it('counts a teacher by its own size', () => {
    const recipe = recipeWith('algorithm.klCoefficient=0.1');
    const planned = (reference: ModelConfig) =>
      memoryPlan(recipe, { config: smallConfig, reference }, 6).map(({ service, bytes }) => [service, bytes]);
    const [own, taught] = [planned(smallConfig), planned(midConfig)];
    expect(taught.map(([service], i) => [service, taught[i]![1] === own[i]![1]])).toEqual([
      ['trainer', true],
      ['policy', true],
      ['reference', false],
      ['others', true],
    ]);
    const { parts } = memoryPlan(recipe, { config: smallConfig, reference: midConfig }, 6)[2]!;
    expect(parts).toMatchObject({ weights: 4 * parameterCount(midConfig) });
  });
});
