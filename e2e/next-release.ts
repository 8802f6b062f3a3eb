import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(__dirname, '..');
const VERSIONS = 'shared/contracts/dist/schema-version.js';
/** Files that say what a message is, and those that write one. */
const SCHEMAS = ['episode', 'messages', 'weights'].map((name) => `shared/contracts/dist/${name}.js`);
const WRITERS = [
  'shared/contracts/dist/evaluation-jobs.js',
  'shared/broker/dist/refused/dead-letters.js',
  'shared/weights/dist/weight-store.js',
  'services/coordinator/dist/lifecycle/run-jobs.js',
  'services/policy/dist/handlers/rollout-jobs.js',
  'services/replay-buffer/dist/handlers/batch-former.js',
];

/**
 * The root of a copy of this release whose messages are of a version `by` higher, each of which it writes with a field
 * that this release does not know.
 */
export function nextRelease({ by = 1 } = {}): string {
  const dir = mkdtempSync(join(tmpdir(), 'forge-next-'));
  for (const kind of ['shared', 'services'])
    for (const name of readdirSync(join(root, kind))) copyPackage(dir, join(kind, name));
  linkModules(dir);
  const version = /\b(rolloutJob|group|batch|deadLetter|weights\w+): (\d+)/g;
  change(dir, VERSIONS, version, (_, name, number) => `${name}: ${Number(number) + by}`);
  const schema = /schemaVersion: \(0, \w+\.messageVersion\)\('\w+'\),/g;
  for (const file of SCHEMAS)
    change(dir, file, schema, (found) => `${found} added: zod_1.z.string().optional(),`);
  const written = /schemaVersion: \w+\.SCHEMA_VERSION\.\w+,/g;
  for (const file of WRITERS) change(dir, file, written, (found) => `${found} added: 'by the next release',`);
  return dir;
}

function copyPackage(dir: string, name: string): void {
  const from = join(root, name);
  if (!existsSync(join(from, 'dist'))) return;
  mkdirSync(join(dir, name), { recursive: true });
  cpSync(join(from, 'package.json'), join(dir, name, 'package.json'));
  cpSync(join(from, 'dist'), join(dir, name, 'dist'), {
    recursive: true,
    filter: (path) => !/\.(bundle|tsbuildinfo|d\.ts|map)$/.test(path),
  });
  const nested = join(from, 'node_modules');
  if (existsSync(nested)) symlinkSync(nested, join(dir, name, 'node_modules'));
}

/** Lets the copy find the packages of others where this release has them, and ours in itself. */
function linkModules(dir: string): void {
  const modules = join(dir, 'node_modules');
  mkdirSync(join(modules, '@forge'), { recursive: true });
  for (const name of readdirSync(join(root, 'node_modules')))
    if (name !== '@forge') symlinkSync(join(root, 'node_modules', name), join(modules, name));
  for (const kind of ['shared', 'services'])
    for (const name of readdirSync(join(dir, kind)))
      symlinkSync(join(dir, kind, name), join(modules, '@forge', name));
}

/** Changes every place in a file that fits. */
function change(
  dir: string,
  file: string,
  pattern: RegExp,
  to: (found: string, ...groups: string[]) => string,
): void {
  const path = join(dir, file);
  const text = readFileSync(path, 'utf8');
  const changed = text.replaceAll(pattern, to);
  if (changed === text) throw new Error(`${file}: nothing fits ${pattern.source}`);
  writeFileSync(path, changed);
}
