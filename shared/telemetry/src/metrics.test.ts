import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMetric, METRICS } from './metrics';

describe('METRICS', () => {
  it('is what docs/metrics.md lists, in its order and with its words', () => {
    const page = readFileSync(join(__dirname, '../../../docs/metrics.md'), 'utf8');
    const rows = [...page.matchAll(/^\| `([^`]+)` \| (.+?) \| (.+?) \| (.+) \| (.+?) \|$/gm)].map(
      ([, name, unit, emitter, formula, when]) => ({
        name,
        unit: unit === '-' ? '' : unit,
        formula: formula!.replaceAll('\\|', '|'),
        emitter,
        when,
      }),
    );
    expect(rows).toEqual(METRICS);
  });

  it('names each metric once', () => {
    expect(new Set(METRICS.map(({ name }) => name)).size).toBe(METRICS.length);
  });
});

describe('isMetric', () => {
  it('knows the listed names and those of every reward and service, and no other', () => {
    expect(
      ['step', 'reward/my-reward', 'memory/replay-buffer_bytes', 'loss/x', 'user/a/b'].filter(isMetric),
    ).toHaveLength(5);
    expect(['steps', 'reward/', 'reward/a/b', 'memory/policy', 'other/x'].filter(isMetric)).toEqual([]);
  });
});
