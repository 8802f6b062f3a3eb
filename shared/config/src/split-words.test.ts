import { splitWords } from './split-words';

describe('splitWords', () => {
  it.each([
    ['', []],
    ['  \n ', []],
    ['maxStaleness=0 seed=2', ['maxStaleness=0', 'seed=2']],
    ['a=1\n  b=2\n', ['a=1', 'b=2']],
    [`rewards='[{name: exact}]' name="two words"`, ['rewards=[{name: exact}]', 'name=two words']],
    [`name="it's" x=''`, ["name=it's", 'x=']],
    [`task.systemPrompt='Use # for headings' seed=2`, ['task.systemPrompt=Use # for headings', 'seed=2']],
    [`task.answerPattern=\\d+`, ['task.answerPattern=\\d+']],
  ])('splits %j into %j', (line, words) => {
    expect(splitWords(line)).toEqual(words);
  });

  it.each([`name="open end`, `seed=2 task.systemPrompt=Don't add a word`, `a="x" b='`])(
    'refuses %j, a quote of which is not closed',
    (line) => {
      expect(() => splitWords(line)).toThrow(
        /^environment variable FORGE_OVERRIDES: the quote before .* is not closed/,
      );
    },
  );
});
