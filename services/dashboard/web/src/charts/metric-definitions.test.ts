import { definitionOf } from './metric-definitions';

const definitions = ['reward/<function>', 'reward/mean', 'waits/<service>/<what>', 'busy/<service>'].map(
  (name) => ({
    name,
    unit: 'share',
    formula: name,
  }),
);

it.each([
  ['reward/mean', 'reward/mean'],
  ['reward/exact', 'reward/<function>'],
  ['waits/policy/reward', 'waits/<service>/<what>'],
  ['busy/replay-buffer', 'busy/<service>'],
])('finds for %s the definition of %s', (key, name) =>
  expect(definitionOf(key, definitions)?.name).toBe(name),
);

it('finds none for a key that is not defined', () =>
  expect(definitionOf('xreward/mean', definitions)).toBeNull());
