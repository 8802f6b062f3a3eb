import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { enginesEnvironment } from '@forge/config';
import { ForgeError } from '@forge/errors';

/** The libtensorflow that the binding is built for. */
export const TENSORFLOW_VERSION = '2.20.0';

/** `gpu` computes on the CPU as well, and takes five times the room. */
export type TensorflowKind = 'cpu' | 'gpu';

/** A directory that holds TensorFlow, or is to hold it. */
export interface TensorflowPlace {
  kind: TensorflowKind;
  /** Holds the binding and the libraries. */
  directory: string;
  binding: string;
  /** Whether `FORGE_LIBTENSORFLOW` names it. */
  isOwn: boolean;
  /** Files that are not there; none of a place that can be used. */
  missing: readonly string[];
}

const BINDING = 'tfjs_binding.node';
const LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'] as const;
/** The libraries that TensorFlow needs on a GPU lie beside it, where its own search path finds them. */
const CUDA_RUNTIME = join('..', 'nvidia', 'cuda_runtime', 'lib', 'libcudart.so.12');

/** The place of an engine that `forge engine install` makes; its root is replaced as a whole. */
export function tensorflowPlace(kind: TensorflowKind): TensorflowPlace & { root: string } {
  const root = join(enginesEnvironment().directory, `tensorflow-${TENSORFLOW_VERSION}-${kind}`);
  return { ...placeIn(join(root, 'tensorflow'), kind), root };
}

/** Every place of TensorFlow on this machine, whole or not; a user's own one excludes the others. */
export function tensorflowPlaces(): TensorflowPlace[] {
  const { libtensorflow } = enginesEnvironment();
  return libtensorflow === null
    ? [tensorflowPlace('cpu'), tensorflowPlace('gpu')]
    : [ownPlace(libtensorflow)];
}

/** The place TensorFlow is loaded from for a device; null where none is whole. */
export function findTensorflow(device: 'cpu' | 'cuda'): TensorflowPlace | null {
  const serves = ({ kind, isOwn, missing }: TensorflowPlace): boolean =>
    missing.length === 0 && (isOwn || device === 'cpu' || kind === 'gpu');
  return tensorflowPlaces().find(serves) ?? null;
}

/**
 * As `findTensorflow`, for what can't do without; `field` is where it is asked for.
 *
 * @throws {ForgeError} ENGINE_NOT_INSTALLED naming the command that installs it.
 */
export function requireTensorflow(device: 'cpu' | 'cuda', field = 'engine'): TensorflowPlace {
  const place = findTensorflow(device);
  if (place !== null) return place;
  const [own] = tensorflowPlaces().filter(({ isOwn }) => isOwn);
  const command = `npx forge engine install tensorflow${device === 'cuda' ? ' --gpu' : ''}`;
  const found =
    own === undefined
      ? `TensorFlow is not installed${device === 'cuda' ? ' for GPUs' : ''}`
      : `${own.directory}, which FORGE_LIBTENSORFLOW names, lacks ${own.missing.join(', ')}`;
  throw new ForgeError('ENGINE_NOT_INSTALLED', `${field}: found tensorflow; ${found}; run \`${command}\``, {
    engine: 'tensorflow',
    device,
    directory: own?.directory ?? tensorflowPlace(device === 'cuda' ? 'gpu' : 'cpu').directory,
  });
}

function placeIn(directory: string, kind: TensorflowKind): TensorflowPlace {
  const files = [BINDING, ...LIBRARIES, ...(kind === 'gpu' ? [CUDA_RUNTIME] : [])];
  const missing = files.filter((file) => !existsSync(join(directory, file)));
  return { kind, directory, binding: join(directory, BINDING), isOwn: false, missing };
}

/** The libraries of CUDA may lie anywhere the system finds them. */
function ownPlace(directory: string): TensorflowPlace {
  const isForGpus = existsSync(join(directory, CUDA_RUNTIME));
  return { ...placeIn(directory, isForGpus ? 'gpu' : 'cpu'), isOwn: true };
}
