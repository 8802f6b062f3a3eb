import { inheritedArguments } from './forked-process';

describe('inheritedArguments', () => {
  it.each([
    [
      ['--max-old-space-size=512', '--enable-source-maps'],
      ['--max-old-space-size=512', '--enable-source-maps'],
    ],
    [['--inspect-brk=9229', '--expose-gc'], ['--expose-gc']],
    [['-e', 'start()', '--expose-gc'], ['--expose-gc']],
    [['--expose-gc', '-pe', 'start()'], ['--expose-gc']],
    [['--eval=start()', '--input-type=module'], []],
  ])('of %j are %j', (all, inherited) => {
    expect(inheritedArguments(all)).toEqual(inherited);
  });
});
