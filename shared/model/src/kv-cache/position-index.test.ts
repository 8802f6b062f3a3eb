import { positionIndex } from './position-index';

describe('positionIndex', () => {
  it('says where each position of each head lies, the first of its row behind its end', () => {
    // Two rows of two heads with three positions, then one row with two.
    const sources = [
      [2, 2, 3, 5],
      [1, 2, 2, 5],
    ];
    const rows = [
      [
        { source: 0, row: 1, length: 2 },
        { source: 1, row: 0, length: 1 },
      ],
      [{ source: 1, row: 0, length: 2 }],
    ];
    const { dtype, shape, data } = positionIndex(sources, rows, 4);
    expect([dtype, shape]).toEqual(['int64', [2, 2, 4]]);
    expect(Array.from(data, Number)).toEqual([
      ...[6, 7, 12, 6],
      ...[9, 10, 14, 9],
      ...[12, 13, 12, 12],
      ...[14, 15, 14, 14],
    ]);
  });

  it('gives a row without positions the first one of its own', () => {
    const rows = [[{ source: 1, row: 0, length: 0 }]];
    const sources = [
      [1, 1, 8, 2],
      [1, 1, 8, 2],
    ];
    expect(Array.from(positionIndex(sources, rows, 3).data, Number)).toEqual([8, 8, 8]);
  });
});
