import { weightedSlots } from './weighted-slots';

describe('weightedSlots', () => {
  it('spreads the items of a cycle, and counts the turns of each on', () => {
    const slots = weightedSlots([1, 3]);
    expect(Array.from({ length: 8 }, (_, i) => slots(i))).toEqual([
      { item: 1, turn: 0 },
      { item: 0, turn: 0 },
      { item: 1, turn: 1 },
      { item: 1, turn: 2 },
      { item: 1, turn: 3 },
      { item: 0, turn: 1 },
      { item: 1, turn: 4 },
      { item: 1, turn: 5 },
    ]);
  });
});
