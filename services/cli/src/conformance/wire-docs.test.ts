import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { WIRE_MESSAGES } from '@forge/contracts';

const page = readFileSync(join(__dirname, '../../../../docs/wire.md'), 'utf8');
/** Headings as links name them. */
const anchors = [...page.matchAll(/^#{2,3} (.+)$/gm)].map(([, title = '']) =>
  title
    .toLowerCase()
    .replace(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-'),
);

describe('docs/wire.md', () => {
  it('has the section that each check names', () => {
    const files = readdirSync(__dirname).filter((name) => name.endsWith('-checks.ts'));
    const named = files.flatMap((name) =>
      [...readFileSync(join(__dirname, name), 'utf8').matchAll(/section: '([a-z-]+)'/g)].map(
        ([, one]) => one,
      ),
    );
    expect(named.length).toBeGreaterThan(35);
    expect([...new Set(named)].filter((one) => !anchors.includes(one!))).toEqual([]);
  });

  it('names sections and schemas that there are', () => {
    const sections = [...page.matchAll(/\]\(#([a-z-]+)\)/g)].map(([, one]) => one);
    expect(sections.filter((one) => !anchors.includes(one!))).toEqual([]);
    const schemas = [...page.matchAll(/\]\(wire\/([a-z-]+)\.schema\.json\)/g)].map(([, one]) => one!);
    expect(schemas.length).toBeGreaterThan(5);
    expect(schemas.filter((one) => !(one in WIRE_MESSAGES))).toEqual([]);
  });
});
