import { difference, firstFault, outcomesOf, type Check } from './check';

const check = (name: string, fault: string | null, rest: Partial<Check> = {}): Check => ({
  name,
  section: 's',
  faultOf: () => Promise.resolve(fault),
  ...rest,
});
const part = (canStart: boolean) => {
  const told = { starts: 0 };
  return { told, canStart, ensure: () => void told.starts++ };
};
const statesOf = async (checks: Check[], canStart = true) => {
  const outcomes = await outcomesOf(checks, part(canStart), () => undefined);
  return outcomes.map(({ state, why }) => [state, why]);
};

describe('outcomesOf', () => {
  it('tells of each check as it is made, with the part running', async () => {
    const told: string[] = [];
    const { told: starts, ...one } = part(true);
    await outcomesOf([check('a', null), check('b', 'expected 1, found 2')], one, ({ name, state }) =>
      told.push(`${name} ${state}`),
    );
    expect(told).toEqual(['a passed', 'b failed']);
    expect(starts.starts).toBe(2);
  });

  it('goes on after a fault, but not where what follows needs it', async () => {
    expect(await statesOf([check('a', 'x'), check('b', 'y', { isVital: true }), check('c', null)])).toEqual([
      ['failed', 'x'],
      ['failed', 'y'],
      ['skipped', '"b" is needed for it'],
    ]);
  });

  it('takes what a check throws for a fault', async () => {
    const thrown = check('a', null, { faultOf: () => Promise.reject(new Error('no file')) });
    expect(await statesOf([thrown])).toEqual([['failed', 'no file']]);
  });

  it('leaves out what ends a part that it can not start', async () => {
    const checks = [check('a', null, { endsPart: true }), check('b', null)];
    expect(await statesOf(checks, false)).toEqual([
      ['skipped', 'it ends the part: --command says how to start it again'],
      ['passed', null],
    ]);
    expect(await statesOf(checks, true)).toEqual([
      ['passed', null],
      ['passed', null],
    ]);
  });
});

describe('difference', () => {
  it('is null for equal values, in whatever order their keys are', () => {
    expect(difference('it', { a: [1], b: null }, { b: null, a: [1] })).toBeNull();
  });

  it('says what was expected and what came, not all of what is long', () => {
    expect(difference('hash', 'a', undefined)).toBe('expected hash: "a", found none');
    expect(
      difference(
        'list',
        0,
        Array.from({ length: 1_000 }, () => 7),
      )!.length,
    ).toBeLessThan(500);
  });
});

describe('firstFault', () => {
  it('looks no further than the first', async () => {
    const later = jest.fn(() => null);
    expect(
      await firstFault(
        () => null,
        () => Promise.resolve('second'),
        later,
      ),
    ).toBe('second');
    expect(later).not.toHaveBeenCalled();
    expect(await firstFault(() => null)).toBeNull();
  });
});
