import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ForgeError } from '@forge/errors';
import { parse } from 'yaml';
import { ALGORITHM_NAMES } from './algorithm';
import { loadRecipe, loadSftRecipe, parseResolvedRecipe, recipeToYaml, storedRecipe } from './load-recipe';
import { candidatesPerBatch, refillPerBatch } from './recipe';

const shipped = join(__dirname, '../../../infra/recipes');
const dir = mkdtempSync(join(tmpdir(), 'forge-recipes-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const MINIMAL = `name: minimal
model: models/x
steps: 10
task: { kind: arithmetic }
algorithm: { name: grpo }
rewards: [{ name: exact }]
`;
writeFileSync(join(dir, 'minimal.yaml'), MINIMAL);
writeFileSync(
  join(dir, 'supervised.yaml'),
  'kind: sft\nname: supervised\noutput: models/x\nsteps: 5\ntask: { kind: arithmetic }\n',
);

const load = (...overrides: string[]) => loadRecipe('minimal', overrides, { searchDirs: [dir] });

function problemsOf(...overrides: string[]): unknown {
  try {
    load(...overrides);
  } catch (error) {
    if (error instanceof ForgeError && error.code === 'CONFIG_INVALID') return error.details.problems;
    throw error;
  }
  return [];
}

function errorOf(run: () => unknown): ForgeError {
  try {
    run();
  } catch (error) {
    if (error instanceof ForgeError) return error;
    throw error;
  }
  throw new Error('expected an error');
}

describe('infra/recipes', () => {
  it.each(readdirSync(shipped))('%s resolves, and again from what it resolved to', (file) => {
    const path = join(shipped, file);
    const isSupervised = file.includes('sft');
    const resolved = (isSupervised ? loadSftRecipe : loadRecipe)(path, [], { searchDirs: [] });
    const copy = join(dir, `copy-of-${file}`);
    writeFileSync(copy, recipeToYaml(resolved));
    expect((isSupervised ? loadSftRecipe : loadRecipe)(copy, [], { searchDirs: [] })).toEqual(resolved);
    expect(`${resolved.name}.yaml`).toBe(file);
  });
});

describe('loadRecipe', () => {
  it('fills in every default', () => {
    expect(load()).toMatchObject({
      kind: 'rl',
      seed: 1,
      maxStaleness: 0,
      algorithm: { name: 'grpo', groupSize: 8, clipEpsilon: 0.2, normalization: 'token', loss: 'clipped' },
      batch: { groups: 32, oversample: 1 },
      trainer: { learningRate: 3e-4, warmupSteps: 10, betas: [0.9, 0.95] },
      evaluation: { reward: 'exact' },
      rewards: [{ name: 'exact', weight: 1 }],
    });
  });

  it('applies overrides, their values read as YAML', () => {
    const recipe = load(
      'trainer.learningRate=3e-3',
      'rewards.0.weight=2',
      'rewards.1={name: length, targetTokens: 4}',
      'sampling.stop=["a=b", c]',
      'model=../shared/models/stories260k',
      'stopAtAccuracy=0.5',
      'stopAtAccuracy=null',
    );
    expect(recipe.trainer.learningRate).toBe(0.003);
    expect(recipe.rewards).toEqual([
      { name: 'exact', weight: 2 },
      { name: 'length', weight: 1, targetTokens: 4 },
    ]);
    expect(recipe.sampling.stop).toEqual(['a=b', 'c']);
    expect(recipe.model).toBe('../shared/models/stories260k');
    expect(recipe).not.toHaveProperty('stopAtAccuracy');
  });

  it.each(['.inf', 'Infinity', 'inf', '+.INF'])('takes maxStaleness=%s for no bound', (text) => {
    expect(load(`maxStaleness=${text}`).maxStaleness).toBe(Infinity);
  });

  it('brings an infinite staleness back from JSON and YAML', () => {
    const recipe = load('maxStaleness=.inf');
    const stored = JSON.parse(JSON.stringify(storedRecipe(recipe))) as object;
    expect(stored).toMatchObject({ maxStaleness: 'inf' });
    expect(parseResolvedRecipe(stored)).toEqual(recipe);
    // As older versions stored it.
    expect(parseResolvedRecipe({ ...stored, maxStaleness: null })).toEqual(recipe);
    expect(parse(recipeToYaml(recipe))).toMatchObject({ maxStaleness: Infinity });
  });

  it('takes a stored recipe without maxStaleness for a synchronous one, never for an unbounded one', () => {
    const stored = { ...(storedRecipe(load()) as object), maxStaleness: undefined };
    expect(parseResolvedRecipe(stored).maxStaleness).toBe(0);
  });

  it.each([
    ['trainer.learningRat=1', 'trainer.learningRat: unknown key; did you mean trainer.learningRate?'],
    ['learningRate=1', 'learningRate: unknown key; did you mean trainer.learningRate?'],
    ['algorithm.clipEpsilom=0.1', 'algorithm.clipEpsilom: unknown key; did you mean algorithm.clipEpsilon?'],
    ['rewards.0.wieght=1', 'rewards.0.wieght: unknown key; did you mean rewards.0.weight?'],
    ['batch.qqqqqqqq=1', 'batch.qqqqqqqq: unknown key (known: groups, oversample, refill, stragglers)'],
    ['__proto__.polluted=1', expect.stringContaining('__proto__: unknown key')],
    ['rewards.weight=1', 'rewards.weight: found weight, expected an index of rewards from 0 to 1'],
    ['rewards.3.weight=1', 'rewards.3: found 3, expected an index of rewards from 0 to 1'],
    ['steps', 'steps: an override has the form key=value'],
    ['=1', '=1: an override has the form key=value'],
    ['sampling.stop=# end', expect.stringMatching(/^sampling\.stop=# end: # begins a comment.*"# end"$/)],
    ['task={kind: [', expect.stringMatching(/^task=\{kind: \[: .*line 1/s)],
  ])('refuses the override %s', (override, problem) => {
    expect(problemsOf(override)).toEqual([problem]);
  });

  it.each([
    ['steps=0', 'steps: found 0, expected a number >= 1'],
    ['steps=1.5', 'steps: found 1.5, expected a whole number'],
    ['steps=many', 'steps: found "many", expected a number'],
    ['steps.a=1', 'steps: found {"a":1}, expected a number'],
    ['model=null', 'model: missing, expected a text'],
    ['trainer.learningRate=0', 'trainer.learningRate: found 0, expected a number > 0'],
    ['sampling.topP=1.5', 'sampling.topP: found 1.5, expected a number <= 1'],
    ['sampling.stop=[""]', 'sampling.stop.0: found "", expected a text of length >= 1'],
    [
      'trainer.schedule=cosin',
      'trainer.schedule: found "cosin", expected one of constant, linear, cosine; did you mean cosine?',
    ],
    ['trainer.recompute=1', 'trainer.recompute: found 1, expected true or false'],
    ['trainer.betas=[0.9]', 'trainer.betas: found [0.9], expected a list of length >= 2'],
    ['policy=3', 'policy: found 3, expected a mapping of keys to values'],
    [
      'rewards=[]',
      'rewards: found [], expected at least one, or an environment that gives its own as rollout.environment, or agents that do',
    ],
    [
      'algorithm={name: grop}',
      `algorithm.name: found "grop", expected one of ${ALGORITHM_NAMES.join(', ')}, module; did you mean grpo?`,
    ],
    ['algorithm={module: 3}', 'algorithm.module: found 3, expected a text'],
    [
      'task={kind: jsonl}',
      'task.path: missing, expected a text, or a name on the Hugging Face hub as dataset',
    ],
    ['task.curriculum=true', 'task.curriculum: found true, expected a mapping of keys to values'],
    ['task.curriculum.explore=0', 'task.curriculum.explore: found 0, expected a number > 0'],
    [
      'task.curriculum.explor=0.2',
      'task.curriculum.explor: unknown key; did you mean task.curriculum.explore?',
    ],
    ['task.curriculum.field=level', 'task.curriculum.field: unknown key (known: explore, repeatAfter)'],
    ['maxStaleness=-1', 'maxStaleness: found -1, expected a number >= 0'],
    ['name=A b', 'name: found "A b", expected a text that matches /^[a-z0-9][a-z0-9-]*$/'],
    [
      'limits.heldGroups=8',
      'limits.heldGroups: found 8, expected at least 32, the groups one batch consumes',
    ],
    ['evaluation.reward=math', 'evaluation.reward: found "math", expected a name in rewards: exact'],
    [
      'rewards.1={name: exact}',
      expect.stringMatching(/^rewards\.1: found .*, expected a name other than exact, which is taken$/),
    ],
  ])('refuses %s with what was found and expected', (override, problem) => {
    expect(problemsOf(override)).toEqual([problem]);
  });

  it('suggests only keys of the chosen algorithm', () => {
    expect(problemsOf('algorithm={name: reinforce, clipEpsilon: 0.2}')).toEqual([
      'algorithm.clipEpsilon: unknown key, reinforce has no such; grpo, dr-grpo, rloo, maxrl, reinforce++, reinforce++-baseline, remax, opo, opd, gdpo, pass-at-k, dapo, gspo, luspo, decoupled-ppo, ppo have',
    ]);
    expect(problemsOf('rewards.0={module: ./mine.ts, option: {}}')).toEqual([
      'rewards.0.option: unknown key; did you mean rewards.0.options?',
    ]);
  });

  it('lists all problems together', () => {
    const error = errorOf(() => load('stpes=3', 'batch.groups=0', 'seed=-1'));
    expect(error.message).toBe(
      [
        `${join(dir, 'minimal.yaml')}:`,
        '  stpes: unknown key; did you mean steps?',
        '  seed: found -1, expected a number >= 0',
        '  batch.groups: found 0, expected a number >= 1',
      ].join('\n'),
    );
  });

  it('names a reward of a module after its file', () => {
    expect(load('rewards=[{module: ./rewards/politeness.ts}]')).toMatchObject({
      rewards: [{ name: 'module', module: './rewards/politeness.ts', options: {} }],
      evaluation: { reward: 'politeness' },
    });
  });

  it('reads a recipe with a byte order mark, and refuses one that is not UTF-8, at the place', () => {
    const write = (name: string, bytes: Buffer) => {
      writeFileSync(join(dir, name), bytes);
      return join(dir, name);
    };
    const marked = write('marked.yaml', Buffer.from(`\ufeff${MINIMAL}`));
    expect(loadRecipe(marked, [], { searchDirs: [] })).toEqual(load());
    const latin = write('latin.yaml', Buffer.from(`# Fran\xe7ois\n${MINIMAL}`, 'latin1'));
    const wide = write('wide.yaml', Buffer.from(`\ufeff${MINIMAL}`, 'utf16le'));
    const refused = [latin, wide].map((path) => errorOf(() => loadRecipe(path, [], { searchDirs: [] })));
    expect(refused.map(({ code, message }) => [code, message])).toEqual([
      ['CONFIG_FILE_UNREADABLE', expect.stringContaining(`${latin}:1: found byte E7 as byte 7 of the line`)],
      ['CONFIG_FILE_UNREADABLE', expect.stringContaining(`${wide}: found UTF-16, expected UTF-8`)],
    ]);
  });

  it('says which recipes there are when a name is unknown', () => {
    const error = errorOf(() => loadRecipe('minimla', [], { searchDirs: [dir, '/nowhere'] }));
    expect(error.code).toBe('CONFIG_FILE_UNREADABLE');
    expect(error.message).toContain('there is no recipe minimla; did you mean minimal?');
    expect(error.message).toContain('minimal, supervised');
    expect(errorOf(() => loadRecipe('./none.yaml', [], { searchDirs: [] })).message).toBe(
      'there is no recipe file ./none.yaml',
    );
  });

  it.each([
    ['a: 1\nb: [', /at line 2/],
    ['name: a\nname: b\n', /unique.*at line 2/s],
    ['a: *nowhere\n', /nowhere/],
    ['- a\n', /a recipe is a mapping of keys to values/],
    ['', /a recipe is a mapping of keys to values/],
  ])('refuses the file %j', (text, message) => {
    const path = join(dir, 'broken.yaml');
    writeFileSync(path, text);
    const error = errorOf(() => loadRecipe(path, [], { searchDirs: [] }));
    expect(error.code).toBe('CONFIG_FILE_UNREADABLE');
    expect(error.message).toMatch(message);
    expect(error.message).toContain(path);
    rmSync(path);
  });

  it('says how to start a recipe of the other kind', () => {
    expect(errorOf(() => loadRecipe('supervised', [], { searchDirs: [dir] })).message).toContain('forge sft');
    expect(errorOf(() => loadSftRecipe('minimal', [], { searchDirs: [dir] })).message).toContain('forge run');
  });
});

describe('adapter', () => {
  it('is none unless it is asked for, and then all linear layers with rank 16 and alpha 32', () => {
    expect(load().adapter).toBeUndefined();
    const whole = {
      ...{ rank: 16, alpha: 32, dropout: 0 },
      targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
    };
    expect(load('adapter={}').adapter).toEqual(whole);
    expect(load('adapter.rank=1', 'adapter.targets=[up_proj]').adapter).toEqual({
      ...whole,
      ...{ rank: 1, targets: ['up_proj'] },
    });
  });

  it.each([
    ['adapter.rank=0', 'adapter.rank: found 0, expected a number >= 1'],
    ['adapter.rank=257', 'adapter.rank: found 257, expected a number <= 256'],
    ['adapter.alpha=0', 'adapter.alpha: found 0, expected a number > 0'],
    [
      'adapter.targets=[q_proj, gate_prj]',
      'adapter.targets.1: found "gate_prj", expected one of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj; did you mean gate_proj?',
    ],
    ['adapter.targets=[]', 'adapter.targets: found [], expected a list of length >= 1'],
    [
      'adapter.targets=[q_proj, q_proj]',
      'adapter.targets: found ["q_proj","q_proj"], expected each layer once',
    ],
    [
      'adapter.dropout=0.1',
      'adapter.dropout: found 0.1, expected 0: with dropout the trainer would find other log-probs than the policy that sampled',
    ],
    ['adapter.ranks=4', 'adapter.ranks: unknown key; did you mean adapter.rank?'],
  ])('refuses %s', (override, problem) => {
    expect(problemsOf(override)).toEqual([problem]);
  });

  it('goes without a value model', () => {
    expect(problemsOf('adapter.rank=4', 'algorithm.name=ppo')).toEqual([
      expect.stringContaining('expected none with ppo, whose value model has all its weights'),
    ]);
  });

  it('is published in F32', () => {
    expect(problemsOf('adapter.rank=4', 'trainer.publishDtype=BF16')).toEqual([
      'trainer.publishDtype: found "BF16", expected F32 with an adapter, which is small as it is',
    ]);
  });
});

describe('candidatesPerBatch', () => {
  it('is groups times oversample, rounded up', () => {
    expect(candidatesPerBatch({ batch: { groups: 32, oversample: 3, refill: 0, stragglers: 'wait' } })).toBe(
      96,
    );
    expect(candidatesPerBatch({ batch: { groups: 3, oversample: 1.5, refill: 2, stragglers: 'wait' } })).toBe(
      5,
    );
    const { algorithm } = load();
    const batch = { groups: 3, oversample: 1.5, stragglers: 'wait' } as const;
    expect(refillPerBatch({ algorithm, batch: { ...batch, refill: 0.5 } })).toBe(3);
    expect(refillPerBatch({ algorithm, batch })).toBe(0);
    const dapo = load('algorithm.name=dapo').algorithm;
    expect(refillPerBatch({ algorithm: dapo, batch })).toBe(5);
  });
});
