// npm run bench [-- name ...]: runs bench/<name>.bench.ts, all of them by default.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

prepare();
const { createJiti } = await import('jiti');
const jiti = createJiti(import.meta.url);
const all = readdirSync(join(root, 'bench'))
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.replace('.bench.ts', ''));
const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`no such benchmark: ${unknown.join(', ')}; there are ${all.join(', ')}`);
  process.exit(2);
}
for (const name of chosen.length > 0 ? chosen : all) {
  console.log(`\n## ${name}`);
  const benchmark = await jiti.import(join(root, 'bench', `${name}.bench.ts`));
  await benchmark.run();
}
