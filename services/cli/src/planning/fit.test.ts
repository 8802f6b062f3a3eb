import { adviceFor, checkFits, shortest, totalBytes } from './fit';
import { memoryPlan } from './memory-plan';
import { midModels, recipeWith } from './planning.fixture';

const recipe = recipeWith(
  'batch.groups=64',
  'sampling.maxTokens=250',
  'policy.maxBatch=64',
  'algorithm.klCoefficient=0.1',
);
const bytes = totalBytes(memoryPlan(recipe, midModels, 6));

describe('adviceFor', () => {
  it('has none for a run that fits', () => {
    expect(adviceFor(recipe, midModels, 6, bytes)).toEqual([]);
  });

  it('ends at the first change that makes it fit', () => {
    const [first, ...rest] = adviceFor(recipe, midModels, 6, bytes - 1);
    expect(first!.change).toBe('trainer.recompute=true');
    expect(first!.bytes).toBeLessThan(bytes);
    expect(rest).toEqual([]);
  });

  it('says what the run takes with all changes up to each, as the plan of the changed recipe does', () => {
    const advice = adviceFor(recipe, midModels, 6, 0);
    expect(advice.map((one) => one.bytes)).toEqual([...advice].map((one) => one.bytes).sort((a, b) => b - a));
    expect(shortest(advice)).toEqual([
      'trainer.recompute=true',
      'trainer.microBatchTokens=256',
      'policy.prefixCacheMb=0',
      'policy.maxBatch=8',
      'policy.weights=inputs',
      'algorithm.klCoefficient=0',
    ]);
    const changed = recipeWith(
      'batch.groups=64',
      'sampling.maxTokens=250',
      ...shortest(advice).filter((change) => !change.startsWith('algorithm')),
    );
    expect(totalBytes(memoryPlan(changed, midModels, 6))).toBe(advice.at(-1)!.bytes);
  });
});

describe('advice for a run with a teacher', () => {
  it('does not take the teacher away', () => {
    const taught = recipeWith('algorithm.name=opd', 'reference.model=teacher');
    const used = { ...taught, reference: { ...taught.reference, replicas: 1 } };
    const advice = adviceFor(used, midModels, 6, 0).map(({ change }) => change);
    expect(advice).toContain('policy.weights=inputs');
    expect(advice).not.toContain('algorithm.klCoefficient=0');
  });
});

describe('checkFits', () => {
  it('passes a run that fits to the byte', () => {
    expect(() => checkFits(recipe, midModels, 6, bytes)).not.toThrow();
  });

  it('refuses one that does not, and names the largest part and the way out', () => {
    const code = 'CAPACITY_MODEL_TOO_LARGE';
    expect(() => checkFits(recipe, midModels, 6, bytes - 1)).toThrow(
      expect.objectContaining({
        code,
        message: expect.stringMatching(
          /takes about [\d.]+ GiB of memory, [\d.]+ GiB of it its trainer, .* trainer\.recompute=true makes it .* --force/,
        ) as string,
      }),
    );
    expect(() => checkFits(recipe, midModels, 6, 2 ** 20)).toThrow('still too much');
  });
});
