import type { SinkConfig } from '@forge/config';
import type { SinkRow } from './metric-sink';
import { RunSinks } from './run-sinks';

const MODES = ['global_reduce', 'per_rank_reduce', 'per_rank_no_reduce'] as const;

it('gives each sink what its mode asks for', () => {
  const rows = new Map<SinkConfig['mode'], SinkRow[]>(MODES.map((mode) => [mode, []]));
  const sinks = new RunSinks(
    MODES.map((mode) => ({
      mode,
      sink: {
        add: (some: readonly SinkRow[]) => rows.get(mode)!.push(...some),
        close: () => Promise.resolve(),
      },
    })) as never,
  );
  sinks.addPoints(2, [{ rank: 'reward/1', key: 'user/a', value: 7, atMs: 40 }]);
  sinks.addStep(
    {
      row: { step: 2, loss: 1, 'user/a': 6 },
      recorded: new Set(['user/a']),
      ranks: new Map([
        ['reward/0', { 'user/a': 5 }],
        ['reward/1', { 'user/a': 7 }],
      ]),
    },
    50,
  );
  expect(Object.fromEntries(rows)).toEqual({
    global_reduce: [{ step: 2, atMs: 50, values: { loss: 1, 'user/a': 6 } }],
    per_rank_reduce: [{ step: 2, atMs: 50, values: { loss: 1, 'reward/0/user/a': 5, 'reward/1/user/a': 7 } }],
    per_rank_no_reduce: [
      { step: 2, atMs: 40, values: { 'reward/1/user/a': 7 } },
      { step: 2, atMs: 50, values: { loss: 1 } },
    ],
  });
});
