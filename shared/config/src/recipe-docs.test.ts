import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { recipeDocs } from './recipe-docs';

describe('docs/recipe.md', () => {
  it('is what the schema says (npm run docs writes it)', () => {
    expect(readFileSync(join(__dirname, '../../../docs/recipe.md'), 'utf8')).toBe(recipeDocs());
  });

  it('says default, bounds and meaning of a key', () => {
    const docs = recipeDocs();
    expect(docs).toContain('| `groups` | whole number >= 1, <= 65536 | `32` | prompts trained on per step |');
    expect(docs).toContain('| `steps` | whole number >= 1, <= 10000000 | required | optimizer steps |');
    expect(docs).toContain('| `maxStaleness` | whole number >= 0 or `.inf` or section | `0` |');
    expect(docs).toContain('### `algorithm`, `name: grpo`');
    expect(docs).toContain('### `rewards.<n>`, `name: math`');
  });

  it('describes every key', () => {
    expect(recipeDocs().match(/^\|.*\| +\|$/gm) ?? []).toEqual([]);
  });
});
