import fc from 'fast-check';
import { selectBatch } from './batch-selection';
import type { Candidate } from './candidate';

const candidate = (index: number, version: number, informative = true): Candidate => ({
  index,
  sampleId: `s${index}`,
  version,
  informative,
  rewards: [],
  advantages: [],
  tokens: [],
  lengths: [],
  dropped: [],
  sums: { rollouts: 1, reward: 0, rewardSquare: 0, rewards: {}, tokens: 1, truncated: {} },
});
const indices = (candidates: readonly Candidate[] | undefined) => candidates?.map(({ index }) => index);
const rules = { groups: 2, candidatesPerBatch: 4, maxStaleness: 1 };

describe('selectBatch', () => {
  it('waits until enough fresh candidates are buffered', () => {
    const buffered = [candidate(0, 5), candidate(1, 5), candidate(2, 5)];
    expect(selectBatch(5, buffered, rules)).toEqual({ stale: [], refill: [], batch: null });
  });

  it('takes informative groups first and lists them by index', () => {
    const buffered = [candidate(7, 5), candidate(4, 5, false), candidate(5, 5), candidate(6, 5, false)];
    const { batch } = selectBatch(5, buffered, rules);
    expect(indices(batch?.selected)).toEqual([5, 7]);
    expect(indices(batch?.notSelected)).toEqual([4, 6]);
  });

  it('trains on fewer groups rather than on uninformative ones', () => {
    const buffered = [
      candidate(7, 5, false),
      candidate(4, 5, false),
      candidate(6, 5),
      candidate(5, 5, false),
    ];
    const { batch } = selectBatch(5, buffered, rules);
    expect(indices(batch?.selected)).toEqual([6]);
    expect(indices(batch?.notSelected)).toEqual([4, 5, 7]);
  });

  it('takes any groups, by index, when none is informative', () => {
    const buffered = [7, 4, 6, 5].map((index) => candidate(index, 5, false));
    expect(indices(selectBatch(5, buffered, rules).batch?.selected)).toEqual([4, 5]);
  });

  it('trains on every group when no more are rolled than trained', () => {
    const buffered = [candidate(1, 5, false), candidate(0, 5)];
    const { batch } = selectBatch(5, buffered, { ...rules, candidatesPerBatch: 2 });
    expect(indices(batch?.selected)).toEqual([0, 1]);
  });

  describe('when candidates may be replaced', () => {
    const refilling = { ...rules, refill: 5 };
    const dull = (index: number, version = 5) => candidate(index, version, false);

    it('replaces as many as the batch lacks, times what is rolled for a group, the oldest first', () => {
      const one = [dull(7), candidate(4, 5), dull(6, 4), dull(5)];
      expect(selectBatch(5, one, refilling)).toMatchObject({ batch: null });
      expect(indices(selectBatch(5, one, refilling).refill)).toEqual([6, 5]);
      const none = [7, 4, 6, 5].map((index) => dull(index));
      expect(indices(selectBatch(5, none, refilling).refill)).toEqual([4, 5, 6, 7]);
    });

    it('goes no further than it may', () => {
      const buffered = [dull(7), candidate(4, 5), dull(6), dull(5)];
      expect(indices(selectBatch(5, buffered, { ...refilling, refilled: 4 }).refill)).toEqual([5]);
      const { refill, batch } = selectBatch(5, buffered, { ...refilling, refilled: 5 });
      expect([refill, indices(batch?.selected), indices(batch?.notSelected)]).toEqual([[], [4], [5, 6, 7]]);
    });

    it('replaces none of a batch that is full, and waits for what is drawn', () => {
      const full = [candidate(7, 5), candidate(4, 5), dull(6), dull(5)];
      expect(indices(selectBatch(5, full, refilling).batch?.selected)).toEqual([4, 7]);
      expect(selectBatch(5, full.slice(1), refilling)).toEqual({ stale: [], refill: [], batch: null });
    });

    it('leaves out what has nothing to teach also where no more are rolled than trained', () => {
      const exact = { ...refilling, candidatesPerBatch: 2 };
      const buffered = [candidate(1, 5), dull(0)];
      expect(indices(selectBatch(5, buffered, exact).refill)).toEqual([0]);
      expect(indices(selectBatch(5, buffered, { ...exact, refilled: 5 }).batch?.selected)).toEqual([1]);
    });
  });

  it('lets the oldest version compete before a newer one', () => {
    const buffered = [candidate(0, 5), candidate(1, 5), candidate(2, 5), candidate(8, 4), candidate(9, 4)];
    const { batch } = selectBatch(5, buffered, rules);
    expect(indices([...batch!.selected, ...batch!.notSelected])).toEqual([8, 9, 0, 1]);
  });

  it('reports what is older than the bound as stale and does not count it', () => {
    const buffered = [candidate(0, 3), candidate(1, 4), candidate(2, 5), candidate(3, 5)];
    const { stale, batch } = selectBatch(5, buffered, rules);
    expect(indices(stale)).toEqual([0]);
    expect(batch).toBeNull();
  });

  it('finds nothing stale without a bound', () => {
    const buffered = [0, 1, 2, 3].map((index) => candidate(index, 0));
    expect(selectBatch(1000, buffered, { ...rules, maxStaleness: Infinity }).stale).toEqual([]);
  });

  it('does not depend on the order of arrival, keeps the bound and splits the candidates', () => {
    const group = fc.record({ version: fc.integer({ min: 0, max: 9 }), informative: fc.boolean() });
    fc.assert(
      fc.property(fc.array(group, { maxLength: 20 }), fc.integer(), (groups, seed) => {
        const buffered = groups.map(({ version, informative }, index) =>
          candidate(index, version, informative),
        );
        const shuffled = [...buffered].sort((a, b) => Math.sin(a.index + seed) - Math.sin(b.index + seed));
        const selection = selectBatch(9, buffered, rules);
        expect(selectBatch(9, shuffled, rules).batch).toEqual(selection.batch);
        if (!selection.batch) return;
        const { selected, notSelected } = selection.batch;
        const informative = [...selected, ...notSelected].filter((one) => one.informative).length;
        expect(selected.length).toBe(informative === 0 ? 2 : Math.min(2, informative));
        expect(selected.length + notSelected.length).toBe(4);
        for (const { version } of [...selected, ...notSelected]) expect(9 - version).toBeLessThanOrEqual(1);
      }),
    );
  });
});
