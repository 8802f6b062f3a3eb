import { ForgeError } from '@forge/errors';
import type { EngineName, EngineOptions } from './engine';
import { findTensorflow, requireTensorflow } from './tensorflow/installed-tensorflow';

/** How a recipe, or the config of an actor, asks for an engine. */
export interface EngineChoice extends Pick<EngineOptions, 'device' | 'mathMode'> {
  engine: EngineName | 'auto';
}

/** The work that an engine is chosen for. */
export interface EngineWork {
  kind: 'training' | 'generation' | 'scoring';
  /** Number of parameters of the model. */
  parameters: number;
}

/** Smaller models train faster by onnxruntime: TensorFlow costs about 10 us an op, whatever the size. */
const TENSORFLOW_PARAMETERS = 5_000_000;

/**
 * The engine for some work: the one asked for, or for `auto` the faster one of those installed.
 * `field` is where it is asked for, such as `trainer`.
 *
 * @throws {ForgeError} CONFIG_INVALID when the engine has no such device or mathMode.
 */
export function chooseEngine(choice: EngineChoice, work: EngineWork, field: string): EngineName {
  const { device, mathMode } = choice;
  const engine = choice.engine === 'auto' ? fasterEngine(choice, work) : choice.engine;
  if (engine === 'onnx' && mathMode === 'bfloat16' && device !== 'cuda') {
    const way = device === 'cpu' ? `${field}.engine=tensorflow, or ` : '';
    const message = `${field}.mathMode: found bfloat16; onnxruntime has no bfloat16 products on ${device}; set ${way}${field}.mathMode=float32`;
    throw new ForgeError('CONFIG_INVALID', message, { field: `${field}.mathMode` });
  }
  if (engine === 'tensorflow' && device === 'webgpu') {
    const message = `${field}.device: found webgpu; tensorflow computes on cpu and cuda; set one of these, or ${field}.engine=onnx`;
    throw new ForgeError('CONFIG_INVALID', message, { field: `${field}.device` });
  }
  return engine;
}

/** On the CPU as `npm run bench -- engines` measured it; on CUDA, where onnxruntime's binding keeps no tensors, unmeasured. */
function fasterEngine({ device, mathMode }: EngineChoice, { kind, parameters }: EngineWork): EngineName {
  if (device === 'webgpu') return 'onnx';
  if (mathMode === 'bfloat16' && device === 'cpu') return 'tensorflow';
  const isFaster = (kind === 'training' || device === 'cuda') && parameters > TENSORFLOW_PARAMETERS;
  return isFaster && findTensorflow(device) !== null ? 'tensorflow' : 'onnx';
}

/**
 * Checks that an engine that was chosen is on this machine.
 *
 * @throws {ForgeError} ENGINE_NOT_INSTALLED naming the command that installs it.
 */
export function checkInstalled(
  { engine, device }: Pick<EngineChoice, 'engine' | 'device'>,
  field: string,
): void {
  if (engine === 'tensorflow' && device !== 'webgpu') requireTensorflow(device, `${field}.engine`);
}
