import { recipeSchema, storedRecipe, parseResolvedRecipe } from './index';

const recipe = (changes: object) =>
  recipeSchema.parse({
    ...{ name: 'tuned', model: 'none', steps: 10, task: { kind: 'arithmetic' }, algorithm: { name: 'grpo' } },
    rewards: [{ name: 'exact' }],
    ...changes,
  });

describe('a recipe that tunes itself', () => {
  it.each([
    ['auto', 16],
    [{ auto: {} }, 16],
    [{ auto: { most: 4 } }, 4],
  ])('resolves maxStaleness %j to a bound of %d and a pace that is turned', (maxStaleness, bound) => {
    const resolved = recipe({ maxStaleness });
    expect(resolved.maxStaleness).toBe(bound);
    expect(resolved.tuning).toMatchObject({ pace: true, groupsInFlight: false });
    expect(parseResolvedRecipe(JSON.parse(JSON.stringify(storedRecipe(resolved))))).toEqual(resolved);
  });

  it('fills the batches of a policy with policy.jobConcurrency auto', () => {
    const resolved = recipe({
      policy: { jobConcurrency: 'auto', maxBatch: 100 },
      algorithm: { name: 'grpo', groupSize: 8 },
    });
    expect(resolved.policy.jobConcurrency).toBe(13);
    expect(resolved.tuning).toMatchObject({ pace: false, groupsInFlight: true });
    expect(resolved.maxStaleness).toBe(0);
  });

  it('leaves a number what it is', () => {
    const { maxStaleness, tuning } = recipe({ maxStaleness: 3 });
    expect({ maxStaleness, pace: tuning.pace }).toEqual({ maxStaleness: 3, pace: false });
  });

  it('refuses a pace without a bound', () => {
    expect(() => recipe({ maxStaleness: '.inf', tuning: { pace: true } })).toThrow(/bound below which/);
    expect(() => recipe({ maxStaleness: { auto: { most: 0 } } })).toThrow();
  });
});
