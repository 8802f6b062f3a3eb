// npm run chaos -- [--kills 100] [--seed 1] [--minutes N] [--algorithm grpo]: kills parts of running pipelines and checks
// that nothing is lost.
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

prepare();
const { createJiti } = await import('jiti');
const jiti = createJiti(import.meta.url);
const chaos = await jiti.import(join(root, 'e2e', 'chaos', 'chaos.ts'));
process.exit(await chaos.run(process.argv.slice(2)));
