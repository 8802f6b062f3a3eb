import { splitWords } from './split-words';

describe('splitWords', () => {
  it.each([
    ['', []],
    ['  \n ', []],
    ['maxStaleness=0 seed=2', ['maxStaleness=0', 'seed=2']],
    ['a=1\n  b=2\n', ['a=1', 'b=2']],
    [`rewards='[{name: exact}]' name="two words"`, ['rewards=[{name: exact}]', 'name=two words']],
    [`name="it's" x=''`, ["name=it's", 'x=']],
    [`name="open end`, ['name=open end']],
  ])('splits %j into %j', (line, words) => {
    expect(splitWords(line)).toEqual(words);
  });
});
