import { missingDevice, missingWebGpu } from './missing-device';

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
    ...(['onnx', 'tensorflow'] as const).map((engine) => ({
      name: `${engine} on CUDA`,
      options: { engine, device: 'cuda' as const, threads: 2 },
      missing: missingDevice({ engine, device: 'cuda' }),
    })),
  ];
}

/** Why TensorFlow can't be tested here, null where it can. */
export function missingTensorflow(): string | null {
  return missingDevice({ engine: 'tensorflow', device: 'cpu' });
}
