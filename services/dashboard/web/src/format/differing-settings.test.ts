import { differingSettings, flatSettings } from './differing-settings';

it('names settings by their paths; a list of values is one', () =>
  expect([
    ...flatSettings({ seed: 1, trainer: { betas: [0.9, 0.95] }, rewards: [{ name: 'exact' }], empty: {} }),
  ]).toEqual([
    ['seed', '1'],
    ['trainer.betas', '[0.9,0.95]'],
    ['rewards.0.name', 'exact'],
    ['empty', '{}'],
  ]));

it('finds what differs, and what one of them lacks', () =>
  expect(differingSettings({ seed: 1, steps: 5, a: 'x' }, { seed: 2, steps: 5, b: null })).toEqual([
    { path: 'seed', a: '1', b: '2' },
    { path: 'a', a: 'x', b: null },
    { path: 'b', a: null, b: 'null' },
  ]));

it('knows nothing of a recipe that could not be read', () => expect(flatSettings(null).size).toBe(0));
