import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const docs = join(__dirname, '../docs');
const text = readFileSync(join(docs, 'concepts.md'), 'utf8');
const places = [...text.matchAll(/\[`([\w.-]+):(\w+)`\]\(([^)]+)\)/g)].map(([, file, name, path]) => ({
  file: file!,
  name: name!,
  path: join(docs, path!),
}));

describe('docs/concepts.md', () => {
  it('names a place in the code for every word and every step', () => {
    expect(text.match(/^\| [a-z]+ \| .* \| \[`/gm)).toHaveLength(12);
    expect(text.match(/^\d\. \*\*/gm)).toHaveLength(8);
    expect(places.length).toBeGreaterThan(25);
  });

  it.each(places)('$file defines $name', ({ file, name, path }) => {
    expect(basename(path)).toBe(file);
    expect(existsSync(path)).toBe(true);
    const definition = new RegExp(
      `(interface|type|const|function|async|@endpoint\\(.*\\)\\s+async|^ {2}) ?\\b${name}\\b[ (<:]`,
      'm',
    );
    expect(readFileSync(path, 'utf8')).toMatch(definition);
  });
});
