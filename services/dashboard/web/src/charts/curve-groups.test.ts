import { curveName, curveSections } from './curve-groups';

const titles = (keys: string[]): Record<string, string[][]> =>
  Object.fromEntries(
    curveSections(keys).map(({ title, groups }) => [title, groups.map((one) => [one.title, ...one.keys])]),
  );

it('draws together what belongs together, the mean of rewards first', () =>
  expect(
    titles(['step', 'reward/exact', 'reward/mean', 'reward/format', 'loss', 'loss/importance_ratio']),
  ).toEqual({
    Learning: [
      ['Reward', 'reward/mean', 'reward/exact', 'reward/format'],
      ['Loss', 'loss'],
      ['Parts of the loss', 'loss/importance_ratio'],
    ],
  }));

it('stacks the shares of a service: busy, what it waits for, idle', () =>
  expect(curveSections(['idle/policy', 'waits/policy/reward', 'busy/policy'])).toEqual([
    {
      title: 'What services are busy with',
      groups: [
        { title: 'policy', keys: ['busy/policy', 'waits/policy/reward', 'idle/policy'], isStacked: true },
      ],
    },
  ]));

it('shows metrics of users and those nobody thought of, each in its own chart', () =>
  expect(titles(['user/answer/length', 'zeta', 'lag/share/3'])).toEqual({
    Yours: [['answer/length', 'user/answer/length']],
    Others: [['zeta', 'zeta']],
  }));

it.each([
  ['waits/policy/reward', ['busy/policy', 'waits/policy/reward'], true, 'waits for reward'],
  ['busy/policy', ['busy/policy'], true, 'busy'],
  ['reward/mean', ['reward/mean', 'reward/exact'], false, 'mean'],
  ['queue/rollouts/depth', ['queue/rollouts/depth', 'queue/buffer/depth'], false, 'rollouts'],
  ['time/step_ms', ['time/step_ms', 'time/wait_ms'], false, 'step'],
  [
    'tokens/generated_per_second',
    ['tokens/generated_per_second', 'tokens/trained_per_second'],
    false,
    'generated',
  ],
  ['gradient_norm', ['gradient_norm'], false, 'gradient_norm'],
])('calls %s among %p (stacked: %p) %s', (key, keys, isStacked, name) =>
  expect(curveName(key, { keys, isStacked })).toBe(name),
);
