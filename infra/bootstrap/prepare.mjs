// Prerequisites for running anything of ours. Plain Node, no dependencies: it runs on a bare clone.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const MINIMUM_NODE = [20, 20];

function say(message) {
  process.stderr.write(`forge: ${message}\n`);
}

function run(command, args, what) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (result.status === 0) return;
  say(
    `${what} failed: ${[command, ...args].join(' ')} (${result.error?.message ?? `exit ${result.status}`})`,
  );
  process.exit(result.status ?? 1);
}

/** The page of the dashboard, when it is missing or older than what it is made of. */
function buildPage() {
  const dashboard = join(root, 'services', 'dashboard');
  const built = join(dashboard, 'dist', 'web', 'index.html');
  const web = join(dashboard, 'web');
  const sources = readdirSync(web, { recursive: true }).map((name) => join(web, name));
  sources.push(join(root, 'package-lock.json'), join(root, 'shared', 'telemetry', 'src', 'metrics.ts'));
  const newest = Math.max(...sources.map((path) => statSync(path).mtimeMs));
  if (existsSync(built) && statSync(built).mtimeMs >= newest) return;
  say('building the page of the dashboard (vite build) ...');
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  const config = join(web, 'vite.config.mjs');
  run(process.execPath, [vite, 'build', '--config', config, '--logLevel', 'warn'], 'build of the page');
}

/** Node is new enough, dependencies are those of package-lock.json, and dist/ is up to date. */
export function prepare() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < MINIMUM_NODE[0] || (major === MINIMUM_NODE[0] && minor < MINIMUM_NODE[1])) {
    say(`needs Node ${MINIMUM_NODE.join('.')} or newer; this is ${process.version}`);
    process.exit(2);
  }
  const installed = join(root, 'node_modules', '.package-lock.json');
  const wanted = join(root, 'package-lock.json');
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(wanted).mtimeMs) {
    say('installing dependencies (npm install) ...');
    // Not `npm ci`: it refuses a lock file that lacks an optional package of another platform.
    run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], 'installation');
  }
  const first = !existsSync(join(root, 'services', 'cli', 'dist', 'main.js'));
  if (first) say('building (tsc -b) ...');
  run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b'], 'build');
  run(process.execPath, [join(root, 'infra', 'bootstrap', 'bundle.mjs')], 'bundling');
  buildPage();
}
