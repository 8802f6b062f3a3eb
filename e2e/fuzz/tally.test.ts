import { growth, listed, Tally } from './tally';

describe('Tally', () => {
  it('counts what was sent by kind, the most frequent first', () => {
    const tally = new Tally('http');
    tally.add('truncated');
    tally.add('random bytes', 3);
    expect([tally.sent, listed(tally.byKind)]).toEqual([4, '3 random bytes, 1 truncated']);
    expect(listed({})).toBe('none');
  });
});

describe('growth', () => {
  it('names what is more than before', () => {
    expect(growth({ a: 1, b: 2 }, { a: 1, b: 5, c: 1 })).toEqual({ b: 3, c: 1 });
  });
});
