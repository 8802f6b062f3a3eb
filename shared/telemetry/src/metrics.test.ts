import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { INSTRUMENTS } from './metering/instruments';
import { isMetric, METRICS } from './metrics';

describe('METRICS', () => {
  it('is what docs/metrics.md lists, in its order and with its words', () => {
    const page = readFileSync(join(__dirname, '../../../docs/metrics.md'), 'utf8');
    const [table = ''] = page.split('## ');
    const rows = [...table.matchAll(/^\| `([^`]+)` \| (.+?) \| (.+?) \| (.+) \| (.+?) \|$/gm)].map(
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

describe('INSTRUMENTS', () => {
  it('are what docs/metrics.md lists', () => {
    const page = readFileSync(join(__dirname, '../../../docs/metrics.md'), 'utf8');
    const rows = [...page.matchAll(/^\| `([^`]+)` \| (\w[\w -]*) \| (\S+) \| (.+?) \| (\S+) \|$/gm)];
    expect(rows.map(([, ...row]) => row).filter(([name]) => name!.includes('.'))).toEqual(
      INSTRUMENTS.map(({ name, kind, unit, description, attributes }) => [
        name,
        kind,
        unit === '' ? '-' : unit,
        description,
        attributes.length === 0 ? '-' : attributes.map((attribute) => `\`${attribute}\``).join(', '),
      ]),
    );
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
