// npm test [-- jest arguments]: every test, from a bare clone. The last line is "N passed, N failed, N skipped".
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

prepare();
const results = join(root, '.forge', `test-results-${process.pid}.json`);
mkdirSync(join(root, '.forge'), { recursive: true });
const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
const { status } = spawnSync(
  process.execPath,
  [jest, '-c', 'jest.config.cjs', '--ci', '--json', `--outputFile=${results}`, ...process.argv.slice(2)],
  { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
);
const summary = JSON.parse(readFileSync(results, 'utf8'));
rmSync(results);
// A suite that could not run at all counts as one failure: its tests are not known.
const failed = summary.numFailedTests + summary.numRuntimeErrorTestSuites;
console.log(`${summary.numPassedTests} passed, ${failed} failed, ${summary.numPendingTests} skipped`);
process.exit(status ?? 1);
