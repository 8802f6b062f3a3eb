import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TENSORFLOW_VERSION, tensorflowPlaces, type DeviceName, type EngineName } from '@forge/engine';
import { directoryBytes } from '@forge/runs';

/** An engine of this machine. */
export interface ListedEngine {
  engine: EngineName;
  version: string;
  directory: string;
  sizeBytes: number;
  /** Devices it has libraries for; whether there is a GPU shows when it is tried. */
  devices: DeviceName[];
  /** Files that are not there; it can't be used until they are. */
  missing: readonly string[];
}

/** Every engine that is installed, whole or not. */
export function listedEngines(): ListedEngine[] {
  return [onnx(), ...tensorflows()];
}

function onnx(): ListedEngine {
  const manifest = require.resolve('onnxruntime-node/package.json');
  const directory = dirname(manifest);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  const binaries = readdirSync(join(directory, 'bin'), { recursive: true }).map(String);
  const here = binaries.filter((name) => name.includes(join(process.platform, process.arch)));
  const hasCuda = here.some((name) => /onnxruntime_providers_cuda/.test(name));
  return {
    engine: 'onnx',
    version,
    directory,
    sizeBytes: directoryBytes(directory) ?? 0,
    devices: hasCuda ? ['cpu', 'webgpu', 'cuda'] : ['cpu', 'webgpu'],
    missing: [],
  };
}

function tensorflows(): ListedEngine[] {
  return tensorflowPlaces()
    .filter(({ directory, isOwn }) => isOwn || existsSync(directory))
    .map(({ kind, directory, isOwn, missing }) => ({
      engine: 'tensorflow',
      version: TENSORFLOW_VERSION,
      directory,
      sizeBytes: directoryBytes(isOwn ? directory : dirname(directory)) ?? 0,
      devices: kind === 'gpu' ? ['cpu', 'cuda'] : ['cpu'],
      missing,
    }));
}
