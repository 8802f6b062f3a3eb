import { parameterCount, valueParameterCount } from '@forge/model';
import { diskPlan } from './disk-plan';
import { midConfig, midModels, recipeWith, smallConfig } from './planning.fixture';
import { timePlan } from './time-plan';

const shape = ['batch.groups=8', 'batch.oversample=2', 'algorithm.groupSize=4', 'sampling.maxTokens=58'];
const speed = { trainer: 100e9, policy: 50e9 };

describe('timePlan', () => {
  it('counts 2 operations a parameter and token to generate, 6 to train', () => {
    const recipe = recipeWith(...shape, 'maxStaleness=0', 'steps=10');
    const time = timePlan(recipe, midModels, 6, speed);
    expect(time).toMatchObject({ generatedTokens: 64 * 58, trainedTokens: 32 * 64, referenceSeconds: 0 });
    // Attention adds 2 x 8 layers x 512 x 64 tokens to the parameters.
    const operations = parameterCount(midConfig) + 2 * 8 * 512 * 64;
    expect(time.trainSeconds).toBeCloseTo((6 * operations * 2048) / (100e9 * 0.6), 9);
    expect(time.generateSeconds).toBeCloseTo((2 * operations * (64 * 58 + 16 * 6)) / (50e9 * 0.65), 9);
    expect(time.stepSeconds).toBe(time.trainSeconds + time.generateSeconds);
    expect(time.runSeconds).toBeCloseTo(10 * time.stepSeconds, 9);
  });

  it('counts passes over a batch, log-probs before them, and a value model', () => {
    const planned = (...overrides: string[]) =>
      timePlan(recipeWith(...shape, 'maxStaleness=0', ...overrides), midModels, 6, speed).trainSeconds;
    const once = planned();
    expect(planned('algorithm.updatesPerBatch=2') / once).toBeCloseTo((2 * 6 + 2) / 6, 9);
    expect(planned('algorithm.minibatches=4') / once).toBeCloseTo((6 + 2) / 6, 9);
    expect(planned('algorithm.name=ppo') / once).toBeCloseTo((2 * 6 + 2) / 6, 9);
  });

  it('counts a forward pass of the reference, by its own size, over all that is generated', () => {
    const recipe = recipeWith(...shape, 'maxStaleness=0', 'algorithm.klCoefficient=0.1');
    const time = timePlan(recipe, { config: smallConfig, reference: midConfig }, 6, speed);
    const operations = parameterCount(midConfig) + 2 * 8 * 512 * 64;
    expect(time.referenceSeconds).toBeCloseTo((2 * operations * 64 * 64) / (100e9 * 0.6), 9);
  });

  it('lets generation and training overlap where staleness allows it', () => {
    const time = timePlan(recipeWith(...shape, 'maxStaleness=2'), midModels, 6, speed);
    expect(time.stepSeconds).toBe(Math.max(time.trainSeconds, time.generateSeconds));
  });
});

describe('diskPlan', () => {
  it('counts versions with their moments, and the float32 parameters beside rounded ones', () => {
    const parameters = parameterCount(midConfig);
    const versions = (...overrides: string[]) =>
      diskPlan(recipeWith('trainer.keepVersions=3', ...overrides), midConfig, 1000)['weight versions'];
    expect(versions()).toBe(4 * parameters * 12);
    expect(versions('trainer.publishDtype=BF16')).toBe(4 * parameters * 14);
  });

  it('counts a value model with its moments in every version and checkpoint', () => {
    const overrides = ['trainer.keepVersions=4', 'trainer.keepCheckpoints=2', 'steps=100'];
    const [plain, critic] = [[], ['algorithm.name=ppo']].map((own) =>
      diskPlan(recipeWith(...overrides, ...own), midConfig, 1000),
    );
    const values = 12 * valueParameterCount(midConfig);
    expect(critic!['weight versions']! - plain!['weight versions']!).toBe(5 * values);
    expect(critic!.checkpoints! - plain!.checkpoints!).toBe(3 * values);
  });
});
