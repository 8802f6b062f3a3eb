import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const PROBE = `const { createEngine } = require(process.argv[1]);
  createEngine({ threads: 1, device: 'webgpu' }).put({ dtype: 'float32', shape: [1], data: Float32Array.of(1) })
    .then(() => process.exit(0), ({ message }) => { process.stdout.write(message); process.exit(1); });`;

/**
 * Why WebGPU can't be tested here, null where it can. A driver that ends the process costs a process of its own.
 *
 * Without a GPU it takes Debian's chromium, whose software GPU the tests are led to (infra/bootstrap/software-vulkan.cjs),
 * and for a file that is tested alone a Vulkan loader beside it (libvulkan1).
 */
export function missingWebGpu(): string | null {
  const engine = join(__dirname, '../../engine/dist/index.js');
  const { status, stdout } = spawnSync(process.execPath, ['-e', PROBE, engine], { encoding: 'utf8' });
  if (status === 0) return null;
  const reason = stdout.split('\n').find((line) => line.includes('adapter')) ?? stdout.split('\n')[0];
  return `no WebGPU here, take Debian's chromium and libvulkan1 for one in software: ${reason || 'the driver crashed'}`;
}
