import { missingWebGpu } from '@forge/testing';
import { createEngine, findTensorflow, tensorflowPlace, type Engine, type EngineOptions } from '..';

/** An engine that has to compute what the reference does. */
export interface Candidate {
  name: string;
  options: Pick<EngineOptions, 'threads'> & Partial<EngineOptions>;
  /** Why it can't be tested on this machine; null where it can. */
  reasonToSkip: string | null;
}

export const CANDIDATES: readonly Candidate[] = [
  { name: 'onnx on the CPU', options: { threads: 2 }, reasonToSkip: null },
  { name: 'onnx on WebGPU', options: { threads: 1, device: 'webgpu' }, reasonToSkip: missingWebGpu() },
  {
    name: 'tensorflow on the CPU',
    options: { threads: 2, engine: 'tensorflow' },
    reasonToSkip: tensorflowMissing(),
  },
];

function tensorflowMissing(): string | null {
  if (findTensorflow('cpu') !== null) return null;
  return `TensorFlow is not installed in ${tensorflowPlace('cpu').directory}`;
}

/** Describes what each engine does; one that is not there is skipped, and the name says why. */
export function describeEngines(describeOne: (engine: Engine, candidate: Candidate) => void): void {
  for (const candidate of CANDIDATES) {
    const { name, options, reasonToSkip } = candidate;
    if (reasonToSkip === null) describe(name, () => describeOne(createEngine(options), candidate));
    else describe.skip(`${name} (${reasonToSkip})`, () => describeOne(createEngine(options), candidate));
  }
}
