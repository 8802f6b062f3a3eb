import { compareHref, rolloutHref, routeOf, runHref, stepHref } from './route';

describe('routeOf', () => {
  it.each([
    ['', { view: 'runs' }],
    ['#/', { view: 'runs' }],
    [runHref('a-1'), { view: 'run', id: 'a-1', tab: 'overview' }],
    [runHref('a-1', 'ledger'), { view: 'run', id: 'a-1', tab: 'ledger' }],
    [rolloutHref('a-1', 17), { view: 'rollout', id: 'a-1', index: 17 }],
    [stepHref('a 1', 3), { view: 'step', id: 'a 1', step: 3 }],
    [compareHref('a', 'b'), { view: 'compare', a: 'a', b: 'b' }],
  ])('reads %s', (hash, route) => expect(routeOf(hash)).toEqual(route));

  it.each([
    '#/runs',
    '#/runs/a/nothing',
    '#/runs/a/rollouts/x',
    '#/compare/a',
    '#/compare/a/b/c',
    '#/%E0%A4%A',
    '#/else/a',
  ])('knows no view for %s', (hash) => expect(routeOf(hash)).toEqual({ view: 'unknown', hash }));
});
