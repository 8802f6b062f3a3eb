import { applyOverrides } from './overrides';
import { overrideValue } from './override-value';
import { recipeSchema } from './recipe';

describe('overrideValue of a text', () => {
  it.each([
    ['#### (.+)'],
    ['Mark a heading with #, a list with -'],
    ['Reply: in one word'],
    ['~'],
    ['yes'],
    ['007'],
    ['1e3'],
    ['- none'],
    ['[0-9]+'],
    ['{x}'],
    ['&amp *all* !now %d @me `x`'],
    ['"so" he said'],
    ["'tis # true"],
    ['a\nb'],
    [' kept '],
    ['"open'],
    ['"one" and "two"'],
  ])('keeps %j whole', (text) => {
    expect(overrideValue(text, true)).toEqual({ value: text });
  });

  it.each([
    ['"#### (.+)"', '#### (.+)'],
    ['"a\\nb"', 'a\nb'],
    ["'it''s # 1'", "it's # 1"],
    ['""', ''],
    ['"null"', 'null'],
  ])('takes the quotes around all of %s off', (text, value) => {
    expect(overrideValue(text, true)).toEqual({ value });
  });
});

describe('overrideValue of anything else', () => {
  it.each<[string, unknown]>([
    ['3e-4', 0.0003],
    ['true', true],
    ['.inf', Infinity],
    ['[a, "b # c"]', ['a', 'b # c']],
    ['{name: exact, weight: 2}', { name: 'exact', weight: 2 }],
    ['http://x#y', 'http://x#y'],
    ['"# 3"', '# 3'],
    ['!!str 3', '3'],
    [' 3 ', 3],
  ])('reads %j as YAML', (text, value) => {
    expect(overrideValue(text, false)).toEqual({ value });
  });

  it.each([
    ['# 3', /# begins a comment, and what follows would be dropped; a text is put in quotes: "# 3"$/],
    ['3 # three', /# begins a comment/],
    ['[a, b] # two', /# begins a comment/],
    ['Reply: now', /a mapping is written \{key: value\}, a list \[a, b\]; .*"Reply: now"$/],
    ['- a', /a list \[a, b\]/],
    ['~', /null takes a key out/],
    ['&a 3', /YAML would leave a part of it out/],
    ['--- 3', /YAML would leave a part of it out/],
    ['3\n4', /YAML would leave a part of it out/],
    ['*a', /Unresolved alias.*in quotes: "\*a"/],
    ['!x 3', /Unresolved tag: !x/],
    ['[a', /must end with a \]/],
  ])('refuses %j, of which YAML would drop something', (text, problem) => {
    expect(overrideValue(text, false)).toEqual({ problem: expect.stringMatching(problem) as string });
  });
});

it.each([true, false])('null takes a key out, and nothing is refused (a text: %s)', (isText) => {
  expect(overrideValue('null', isText)).toEqual({ value: null });
  expect(overrideValue('', isText)).toEqual({
    problem: expect.stringMatching(/nothing is given; null takes a key out/) as string,
  });
});

describe('applyOverrides', () => {
  const recipe = {
    task: { kind: 'jsonl', path: 'd.jsonl', answerPattern: 'x' },
    rewards: [{ name: 'exact' }, { module: './m.ts', options: {} }],
    sampling: { stop: ['a'] },
  };

  it('knows which fields take a text, in lists and in the chosen member of a union', () => {
    const overrides = [
      'task.answerPattern=#### (.+)',
      'task.systemPrompt=Say: yes',
      'sampling.stop.0=# end',
      'model=007',
      'rewards.1.module=#1.ts',
    ];
    expect(applyOverrides(recipe, overrides, recipeSchema)).toEqual({
      value: {
        task: { kind: 'jsonl', path: 'd.jsonl', answerPattern: '#### (.+)', systemPrompt: 'Say: yes' },
        rewards: [{ name: 'exact' }, { module: '#1.ts', options: {} }],
        sampling: { stop: ['# end'] },
        model: '007',
      },
      problems: [],
    });
  });

  it('changes nothing where it refuses, and says how a text for a module is quoted', () => {
    const { value, problems } = applyOverrides(
      recipe,
      ['task.answerPattern=', 'rewards.1.options.sign=# 1'],
      recipeSchema,
    );
    expect(value).toEqual(recipe);
    expect(problems).toEqual([
      expect.stringMatching(/^task\.answerPattern=: nothing is given/),
      expect.stringMatching(/^rewards\.1\.options\.sign=# 1: # begins a comment.*"# 1"$/),
    ]);
  });
});
