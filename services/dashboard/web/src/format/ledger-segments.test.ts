import { ledgerSegments } from './ledger-segments';

it('splits what was admitted into parts that add up, discards by number', () => {
  const ledger = {
    admitted: 20,
    inFlight: 2,
    buffered: 3,
    leased: 0,
    trained: 10,
    discarded: { stale: 1, 'not-selected': 4 },
    isBalanced: true,
  };
  const segments = ledgerSegments(ledger);
  expect(segments.map(({ name, count, kind }) => `${name} ${count} ${kind}`)).toEqual([
    'trained 10 trained',
    'not-selected 4 discarded',
    'stale 1 discarded',
    'buffered 3 open',
    'in flight 2 open',
  ]);
  expect(segments.reduce((sum, { count }) => sum + count, 0)).toBe(ledger.admitted);
});
