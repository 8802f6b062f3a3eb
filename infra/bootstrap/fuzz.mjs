// npm run fuzz -- [--count 100000] [--seed 1] [--only TARGET]: sends hostile messages to a live run, which is to
// survive them.
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

prepare();
const { createJiti } = await import('jiti');
const jiti = createJiti(import.meta.url);
const fuzz = await jiti.import(join(root, 'e2e', 'fuzz', 'fuzz.ts'));
process.exit(await fuzz.run(process.argv.slice(2)));
