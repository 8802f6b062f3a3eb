import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const PROBE = `const { createEngine } = require('@forge/engine');
  const { Graph, add } = require('@forge/graph');
  const x = new Graph().input('x', 'float32', [1]);
  createEngine({ threads: 1, ...JSON.parse(process.argv[1]) }).compile({ y: add(x, 1) })
    .then((program) => program.run({ x: { dtype: 'float32', shape: [1], data: Float32Array.of(1) } }))
    .then(() => process.exit(0), ({ message }) => { process.stdout.write(message); process.exit(1); });`;

/** Why a device can't be tested here, null where it can. A driver that ends the process costs a process of its own. */
export function missingDevice(options: { engine: string; device: string }): string | null {
  if (options.device === 'cuda' && !existsSync('/dev/nvidia0')) return 'no NVIDIA GPU here';
  const probe = ['-e', PROBE, JSON.stringify(options)];
  const { status, stdout } = spawnSync(process.execPath, probe, { cwd: __dirname, encoding: 'utf8' });
  if (status === 0) return null;
  return stdout.split('\n').find((line) => line.includes('adapter')) ?? (stdout || 'the driver crashed');
}

/**
 * The same of WebGPU. Without a GPU it takes Debian's chromium, whose software GPU the tests are led to
 * (infra/bootstrap/software-vulkan.cjs), and for a file that is tested alone a Vulkan loader beside it (libvulkan1).
 */
export function missingWebGpu(): string | null {
  const reason = missingDevice({ engine: 'onnx', device: 'webgpu' });
  return reason && `no WebGPU here, take Debian's chromium and libvulkan1 for one in software: ${reason}`;
}
