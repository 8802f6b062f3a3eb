import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ALGORITHM_NAMES, algorithmSchema } from './algorithm';
import { parseConfig } from './issues';
import { recipeSchema } from './recipe';

/** The problems of an algorithm's section, each by its path within. */
function problemsOf(algorithm: object): string[] {
  try {
    parseConfig(algorithmSchema, algorithm, 'a recipe');
  } catch (error) {
    return (error as { details: { problems: string[] } }).details.problems;
  }
  return [];
}

const recipe = (parts: object) =>
  recipeSchema.parse({
    name: 'r',
    model: 'm',
    steps: 1,
    task: { kind: 'arithmetic' },
    rewards: [{ name: 'exact' }, { name: 'length', targetTokens: 3, weight: 0.5 }],
    sampling: { maxTokens: 40 },
    ...parts,
  });

describe('algorithmSchema', () => {
  it.each(ALGORITHM_NAMES)('takes %s with no other key, and what it makes of that again', (name) => {
    const once = parseConfig(algorithmSchema, { name }, 'a recipe');
    expect(once).toMatchObject({ name, groupSize: 8, updatesPerBatch: 1, minibatches: 1, correction: [] });
    expect(parseConfig(algorithmSchema, once, 'a recipe')).toEqual(once);
  });

  it("has the papers' constants as defaults", () => {
    const defaults = (name: string) => algorithmSchema.parse({ name });
    expect(defaults('dapo')).toMatchObject({
      clipEpsilon: 0.2,
      clipEpsilonHigh: 0.28,
      shaping: { overlong: { factor: 1 } },
    });
    expect(defaults('gspo')).toMatchObject({
      clipEpsilon: 3e-4,
      clipEpsilonHigh: 4e-4,
      normalization: 'sequence',
    });
    expect(defaults('dr-grpo')).toMatchObject({ normalization: 'constant' });
    expect(defaults('vespo')).toMatchObject({
      positiveK: 2,
      positiveLambda: 3,
      negativeK: 3,
      negativeLambda: 2,
    });
  });

  it.each([
    ['daop', 'dapo'],
    ['GRPO', 'grpo'],
    ['reinforce+', 'reinforce++'],
    ['gspo2', 'gspo'],
  ])('answers %s with the nearest name, and the list', (name, near) => {
    const [problem] = problemsOf({ name });
    expect(problem).toContain(`name: found "${name}", expected one of grpo, dr-grpo, rloo, `);
    expect(problem).toMatch(new RegExp(`did you mean ${near.replaceAll('+', '\\+')}\\?$`));
  });

  it.each(['reinforce++', 'remax', 'ppo', 'opd'])('takes one answer to each prompt with %s', (name) => {
    expect(problemsOf({ name, groupSize: 1 })).toEqual([]);
  });

  it('takes one correction for a list of one, with its defaults', () => {
    const { correction } = algorithmSchema.parse({ name: 'gspo', correction: { name: 'tis' } }) as {
      correction: object[];
    };
    expect(correction).toEqual([{ name: 'tis', level: 'token', bound: 2 }]);
    const byPath = { name: 'gspo', correction: { 0: { name: 'opsm' } } };
    expect(parseConfig(algorithmSchema, byPath, 'a recipe')).toMatchObject({
      correction: [{ name: 'opsm', threshold: 0.5 }],
    });
  });

  it.each<[object, string]>([
    [{ name: 'cispo', clipEpsilon: 0.2 }, 'clipEpsilon: unknown key, cispo has no such; grpo, dr-grpo, '],
    [{ name: 'grpo', dualClip: 1 }, 'dualClip: found 1, expected a number > 1'],
    [
      { name: 'grpo', truncatedImportanceSampling: 0.8 },
      'truncatedImportanceSampling: found 0.8, expected a number >= 1',
    ],
    [{ name: 'rloo', correction: { name: 'tis', bound: 0.5 } }, 'correction.0.bound: '],
    [{ name: 'rloo', correction: { name: 'tsi' } }, 'did you mean tis?'],
    [
      { name: 'rloo', correction: [{ name: 'tis' }, { name: 'icepop' }] },
      'expected one correction that weighs by old / behaviour, and tis does already',
    ],
    [
      { name: 'rloo', correction: [{ name: 'opsm' }, { name: 'opsm', threshold: 1 }] },
      'correction.1.name: found "opsm", expected each correction once: opsm is there already',
    ],
    [{ name: 'rloo', correction: { name: 'icepop', low: 6 } }, 'expected a number < high, which is 5'],
    [
      { name: 'gspo', ratioTo: 'behaviour', correction: { name: 'tis' } },
      'ratioTo: found "behaviour", expected old, or left out, with the correction tis',
    ],
    [
      { name: 'decoupled-ppo', correction: { name: 'tis' } },
      'expected no tis with decoupled-ppo, which weighs by',
    ],
    [
      { name: 'grpo', truncatedImportanceSampling: 2, correction: { name: 'icepop' } },
      'truncatedImportanceSampling: found 2, expected none beside the correction icepop',
    ],
    [
      { name: 'grpo', klIn: 'reward', klEstimator: 'k3+' },
      'klEstimator: found "k3+", expected k1, k2 or k3 with klIn: reward',
    ],
    [
      { name: 'grpo', klIn: 'reward', klWeighted: true },
      'klWeighted: found true, expected false with klIn: reward',
    ],
    [
      { name: 'grpo', normalizationTokens: 5 },
      'normalizationTokens: found 5, expected none with normalization: token',
    ],
    [
      { name: 'grpo', loss: 'simple', clipEpsilon: 0.3 },
      'clipEpsilon: found 0.3, expected none with loss: simple',
    ],
    [{ name: 'grpo', loss: 'simple', correction: { name: 'opsm' } }, 'expected none with loss: simple'],
    [
      { name: 'grpo', entropy: { target: 0.2 } },
      'entropy.target: found 0.2, expected none without entropy.bonus',
    ],
    [{ name: 'grpo', groupSize: 1 }, 'groupSize: found 1, expected a number >= 2 with grpo'],
    [
      { name: 'maxrl', shaping: { length: { weight: 1 } } },
      'shaping.length: found {"weight":1}, expected none with maxrl, which takes rewards from 0 to 1',
    ],
    [{ name: 'maxrl', klIn: 'reward', klCoefficient: 0.1 }, 'klIn: found "reward", expected none with maxrl'],
    [
      { name: 'ppo', turnDiscount: 1 },
      'turnDiscount: found 1, expected none with ppo, whose value model gives credit by token; grpo, dr-grpo,',
    ],
    [
      { name: 'rloo', turnDiscount: 0.5 },
      'turnDiscount: found 0.5, expected none with rloo, whose baseline leaves one rollout out, not one turn',
    ],
    [
      { name: 'grpo', loss: 'simple', normalization: 'rollout' },
      'normalization: found "rollout", expected none with loss: simple',
    ],
    [{ name: 'cispo', ratioLow: 6 }, 'ratioLow: found 6, expected a number < ratioHigh, which is 5'],
  ])('refuses %j and says what it expects', (algorithm, said) => {
    expect(problemsOf(algorithm).join('\n')).toContain(said);
  });
});

describe('the algorithm of a recipe', () => {
  it('takes the longest completion from the sampling, unless it names one', () => {
    expect(recipe({ algorithm: { name: 'dr-grpo' } }).algorithm).toMatchObject({ normalizationTokens: 40 });
    expect(recipe({ algorithm: { name: 'dapo' } }).algorithm).toMatchObject({
      shaping: { overlong: { maxTokens: 40 } },
    });
    const named = { name: 'dapo', shaping: { overlong: { maxTokens: 30 } } };
    expect(recipe({ algorithm: named }).algorithm).toMatchObject({
      shaping: { overlong: { maxTokens: 30 } },
    });
    expect(recipe({ algorithm: { name: 'grpo' } }).algorithm).not.toHaveProperty('normalizationTokens');
  });

  it('takes the weights of rewards from these, and refuses one of a reward that is not there', () => {
    expect(recipe({ algorithm: { name: 'gdpo' } }).algorithm).toMatchObject({
      weights: { exact: 1, length: 0.5 },
    });
    expect(() => recipe({ algorithm: { name: 'gdpo', weights: { exat: 1 } } })).toThrow(
      'a name in rewards: exact, length',
    );
  });

  it('is the same when what was made of it is read again', () => {
    for (const name of ALGORITHM_NAMES) {
      const made = recipe({ algorithm: { name }, reference: { model: 'teacher' } });
      expect(recipeSchema.parse(made).algorithm).toEqual(made.algorithm);
    }
  });
});

describe('credit by turn', () => {
  const isTaken = (name: string): boolean => problemsOf({ name, turnDiscount: 0.5 }).length === 0;

  it('is taken, or refused with the reason, by every algorithm', () => {
    const refused = ALGORITHM_NAMES.filter((name) => !isTaken(name)).sort();
    expect(refused).toEqual(
      ['gdpo', 'gmpo', 'maxrl', 'opd', 'opo', 'pass-at-k', 'ppo', 'reinforce++', 'remax', 'rloo'].sort(),
    );
    for (const name of refused)
      expect(problemsOf({ name, turnDiscount: 0.5 }).join()).toMatch(
        new RegExp(`none with ${name.replaceAll('+', '\\+')}, wh(ose|ich) `),
      );
  });

  it('is off unless asked for', () => {
    expect(recipe({ algorithm: { name: 'grpo' } }).algorithm).not.toHaveProperty('turnDiscount');
  });
});

describe('rollouts that were cut off', () => {
  it('keep their reward, are dropped, or are all worth the same', () => {
    const grpo = { algorithm: { name: 'grpo' } };
    expect(recipe(grpo).rollout.truncated).toBe('keep');
    for (const truncated of ['drop', { reward: -1 }])
      expect(recipe({ ...grpo, rollout: { truncated } }).rollout.truncated).toEqual(truncated);
    expect(() => recipe({ ...grpo, rollout: { truncated: 'zero' } })).toThrow('truncated');
    expect(() => recipe({ rollout: { truncated: { reward: 0 } }, algorithm: { name: 'gdpo' } })).toThrow(
      'keep or drop with gdpo',
    );
  });
});

describe('a teacher', () => {
  it('compares one token of a place, or several without looking ahead', () => {
    const opd = (given: object) =>
      recipe({ algorithm: { name: 'opd', ...given }, reference: { model: 'teacher' } });
    expect(opd({ teacherTop: 64, teacherDivergence: 'mixed' })).toMatchObject({
      algorithm: { teacherTop: 64 },
    });
    expect(() => opd({ teacherDivergence: 'forward' })).toThrow('teacherDivergence');
    expect(() => opd({ teacherTop: 8, teacherDiscount: 0.5 })).toThrow('0 with teacherTop');
  });

  it('is needed by opd', () => {
    expect(() => recipe({ algorithm: { name: 'opd' } })).toThrow('the teacher of algorithm opd');
    expect(recipe({ algorithm: { name: 'opd' }, reference: { model: 'org/name' } })).toMatchObject({
      algorithm: { teacherCoefficient: 1, teacherDiscount: 0 },
      reference: { model: 'org/name' },
    });
  });
});

describe('docs/algorithms.md', () => {
  const docs = readFileSync(join(__dirname, '../../../docs/algorithms.md'), 'utf8');
  /** The names in the first column of the tables under a heading. */
  const listed = (...headings: string[]): string[] =>
    headings.flatMap((heading) => {
      const section = docs.split(/^## /m).find((text) => text.startsWith(heading))!;
      return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name!);
    });

  it('lists every algorithm of the schema, and no other', () => {
    expect(listed('By advantage', 'By loss').sort()).toEqual([...ALGORITHM_NAMES].sort());
  });

  it('lists every correction of the schema, and no other', () => {
    const [problem] = problemsOf({ name: 'grpo', correction: { name: '?' } });
    const names = /one of (.*)$/.exec(problem!)![1]!.split(', ');
    expect(listed('Corrections').sort()).toEqual(names.sort());
  });
});
