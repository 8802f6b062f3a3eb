import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FOREIGN_SCRIPTS } from './foreign-scripts';

const page = readFileSync(join(__dirname, '../../../../docs/wire.md'), 'utf8');
/** The rows of the table of scripts: name, KEYS, ARGV, what they return. */
const rows = new Map(
  [...page.matchAll(/^\| `(\w+)` \| (.+) \| (.+) \| (.*) \|$/gm)].map(
    ([, name = '', keys = '', args = '']) => [name, { keys: keys.split(', '), args }],
  ),
);
/** The largest index that a script reads of KEYS or ARGV by number, or unpacks. */
const reads = (source: string, list: 'KEYS' | 'ARGV'): number =>
  Math.max(...[...source.matchAll(new RegExp(`${list}\\[(\\d+)\\]`, 'g'))].map(([, index]) => Number(index)));

describe('docs/wire.md', () => {
  it('has every script that parts in other languages call, and no other', () => {
    expect([...rows.keys()].sort()).toEqual(Object.keys(FOREIGN_SCRIPTS).sort());
  });

  it.each(Object.entries(FOREIGN_SCRIPTS))('names as many keys of %s as it reads', (name, source) => {
    // Sessions of a group are handed on as a whole: the first of four is all that is named by its number.
    const ofSessions = source.includes('retire(unpack(KEYS') ? 3 : 0;
    expect(rows.get(name)!.keys).toHaveLength(reads(source, 'KEYS') + ofSessions);
    expect(rows.get(name)!.args).not.toBe('');
  });
});
