import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleDirectory, bundleOf } from '@forge/threads';

const root = join(__dirname, '..');
const ENTRIES = [
  ...[
    'cli',
    'coordinator',
    'dashboard',
    'gateway',
    'policy',
    'reference',
    'replay-buffer',
    'reward',
    'trainer',
  ].map((service) => `services/${service}/dist/main.js`),
  'shared/recipe-parts/dist/sandboxed/part-main.js',
  'shared/rl-actors/dist/policy/chat-worker.js',
  'shared/rl-actors/dist/policy/generator-worker.js',
  'shared/rl-actors/dist/reference/reference-worker.js',
  'shared/rl-actors/dist/trainer/train-worker.js',
];

/** Scores by what it shares with the process that loads it. */
const REWARD = `
import { ForgeError } from '@forge/errors';
import { recordMetric, Reduce } from '@forge/telemetry';
export default { ForgeError, recordMetric, Reduce };
`;

/** Loads the module of a user as a service does; prints which of its classes are those of the bundle. */
const LOAD = `
const { join } = require('node:path');
process.exit = () => undefined;
const [bundle, module] = process.argv.slice(1);
process.stderr.write = () => true;
require(bundle);
const ours = (name) => require(join(process.cwd(), 'shared', name, 'dist', 'index.js'));
ours('config').loadModule(module).then((value) => {
  const same = {
    errors: value.ForgeError === ours('errors').ForgeError,
    metrics: value.recordMetric === ours('telemetry').recordMetric,
    isBundled: Object.keys(require.cache).every((file) => !/shared.errors.dist.(?!index)/.test(file)),
  };
  process.stdout.write(JSON.stringify(same), () => process.kill(process.pid));
});
`;

describe('the bundles', () => {
  it.each(ENTRIES)('there is one of %s', (entry) => {
    expect(bundleOf(join(root, entry))).toBe(join(root, bundleDirectory(entry), 'start.js'));
  });

  it('leave native packages out', () => {
    const code = readFileSync(
      join(root, 'shared/rl-actors/dist/trainer/train-worker.bundle/code.js'),
      'utf8',
    );
    expect(code).toMatch(/import\("onnxruntime-node"\)/);
    expect(code).not.toContain('onnxruntime_binding');
  });

  it('give the modules of users the classes that run there', () => {
    const dir = mkdtempSync(join(tmpdir(), 'forge-bundles-'));
    const module = join(dir, 'reward.ts');
    writeFileSync(module, REWARD);
    const bundle = join(root, 'services/reward/dist/main.bundle/code.js');
    const { stdout } = spawnSync(process.execPath, ['-e', LOAD, bundle, module], {
      cwd: root,
      encoding: 'utf8',
      env: { PATH: process.env.PATH },
    });
    rmSync(dir, { recursive: true });
    expect(JSON.parse(stdout)).toEqual({ errors: true, metrics: true, isBundled: true });
  });
});
