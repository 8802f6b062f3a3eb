// npm start [-- key=value ...] [--no-dashboard]: the main job with its dashboard, from a bare clone.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

prepare();
const forge = join(root, 'services', 'cli', 'bin', 'forge.cjs');
const child = spawn(
  process.execPath,
  [forge, 'run', 'arithmetic-grpo', '--dashboard', ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: 'inherit',
  },
);
// Ctrl-C reaches the whole foreground group: the run drains by itself, and this process waits for it.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
