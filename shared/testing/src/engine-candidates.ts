import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { missingWebGpu } from './missing-webgpu';

/** An engine that has to compute what the reference does. */
export interface EngineCandidate {
  name: string;
  options: { engine: 'onnx' | 'tensorflow'; device: 'cpu' | 'cuda' | 'webgpu'; threads: number };
  /** Why it can't be tested on this machine; null where it can. */
  missing: string | null;
}

/** All engines a machine like this may have, those first that every one has. */
export function engineCandidates(): readonly EngineCandidate[] {
  return [
    { name: 'onnx on the CPU', options: { engine: 'onnx', device: 'cpu', threads: 2 }, missing: null },
    {
      name: 'onnx on WebGPU',
      options: { engine: 'onnx', device: 'webgpu', threads: 1 },
      missing: missingWebGpu(),
    },
    {
      name: 'tensorflow on the CPU',
      options: { engine: 'tensorflow', device: 'cpu', threads: 2 },
      missing: missingTensorflow(),
    },
  ];
}

const PROBE = `const { createEngine } = require(process.argv[1]);
  createEngine({ threads: 1, engine: 'tensorflow' }).put({ dtype: 'float32', shape: [1], data: Float32Array.of(1) })
    .then(() => process.exit(0), ({ message }) => { process.stdout.write(message); process.exit(1); });`;

/** Why TensorFlow can't be tested here, null where it can. */
export function missingTensorflow(): string | null {
  const engine = join(__dirname, '../../engine/dist/index.js');
  const { status, stdout } = spawnSync(process.execPath, ['-e', PROBE, engine], { encoding: 'utf8' });
  return status === 0 ? null : stdout || 'the process ended';
}
