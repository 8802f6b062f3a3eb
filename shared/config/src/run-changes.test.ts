import { parseRunChanges } from './run-changes';

describe('parseRunChanges', () => {
  it('reads what a recipe would', () => {
    expect(parseRunChanges(['maxStaleness=8', 'steps=500', 'stopAtAccuracy=0.9'])).toEqual({
      maxStaleness: 8,
      steps: 500,
      stopAtAccuracy: 0.9,
    });
    expect(parseRunChanges(['maxStaleness=.inf'])).toEqual({ maxStaleness: Infinity });
    expect(parseRunChanges(['stopAtAccuracy=null'])).toEqual({ stopAtAccuracy: null });
  });

  it.each([
    ['maxStaleness=-1', 'maxStaleness: found -1, expected a number >= 0'],
    ['maxStaleness=1.5', 'maxStaleness: found 1.5'],
    ['maxStaleness=null', 'nothing to change'],
    ['steps=0', 'steps: found 0'],
    ['stopAtAccuracy=2', 'stopAtAccuracy: found 2'],
    ['maxStalenes=8', 'maxStalenes: unknown key; did you mean maxStaleness?'],
    ['trainer.learningRate=1', 'unknown key'],
    ['steps', 'an override has the form key=value'],
  ])('refuses %s and names what can be set', (text, problem) => {
    expect(() => parseRunChanges([text])).toThrow(problem);
    expect(() => parseRunChanges([text])).toThrow(
      'can be set while a run goes on: maxStaleness, steps, stopAtAccuracy',
    );
  });
});
