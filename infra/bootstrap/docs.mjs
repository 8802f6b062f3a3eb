// Writes docs/recipe.md from the schema of recipes, docs/wire/*.schema.json from those of messages, and the bytes of the
// golden messages in shared/contracts/golden from their values.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import config from '@forge/config';
import contracts from '@forge/contracts';

const require = createRequire(import.meta.url);
const golden = require('../../shared/contracts/dist/golden.fixture.js');
const docs = new URL('../../docs/', import.meta.url);
const writeJson = (file, value) => writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);

writeFileSync(new URL('recipe.md', docs), config.recipeDocs());
for (const name of Object.keys(contracts.WIRE_MESSAGES))
  writeJson(new URL(`wire/${name}.schema.json`, docs), contracts.wireSchema(name));
for (const file of golden.goldenFiles()) {
  const { message, value } = golden.readGolden(file);
  const bytes = golden.goldenBytes({ message, value }).toString('hex');
  writeJson(join(golden.GOLDEN_DIRECTORY, file), { message, bytes, value });
}
