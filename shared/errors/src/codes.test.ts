import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERROR_CODES } from './codes';

describe('docs/errors.md', () => {
  const page = readFileSync(join(__dirname, '../../../docs/errors.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\w+) \| (.+) \| (.+) \|$/gm)];

  it('lists exactly the codes, in their order and with their class', () => {
    expect(rows.map(([, code, retryClass]) => [code, retryClass])).toEqual(Object.entries(ERROR_CODES));
  });
});
