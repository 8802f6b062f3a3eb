import { availableParallelism } from 'node:os';
import { tensorflowPlaces, type EngineName } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import { bindOwnTensorflow } from '../engines/bind-own-tensorflow';
import { checkEngine, isUsable, type EngineCheck } from '../engines/check-engine';
import { installTensorflow } from '../engines/install-tensorflow';
import { listedEngines, type ListedEngine } from '../engines/listed-engines';
import { tensorflowRelease, thisMachine } from '../engines/tensorflow-release';
import { DownloadDisplay } from '../shown/download-display';

export interface EngineCommandOptions {
  json?: boolean;
}

const NAMES: readonly EngineName[] = ['onnx', 'tensorflow'];

/** `forge engine install ENGINE [--gpu]`: puts an engine on this machine, and tries it. */
export async function installEngine(
  name: string,
  { gpu = false, json }: EngineCommandOptions & { gpu?: boolean },
): Promise<number> {
  if (engineOf(name) === 'onnx') {
    process.stderr.write('forge: onnx is there already: it comes with npm install\n');
    return checkEngines('onnx', { ...(json && { json }) });
  }
  const display = new DownloadDisplay(process.stderr, () => performance.now());
  const own = tensorflowPlaces().find(({ isOwn }) => isOwn);
  const kind = gpu ? 'gpu' : 'cpu';
  if (own !== undefined) await bindOwnTensorflow(own, display);
  else await installTensorflow(kind, tensorflowRelease(kind, thisMachine()), display);
  return checkEngines('tensorflow', { ...(json && { json }) });
}

/** `forge engine list`: the engines of this machine. */
export function listEngines({ json }: EngineCommandOptions): number {
  const engines = listedEngines();
  const lines = engines.map(listedLine);
  if (!engines.some(({ engine }) => engine === 'tensorflow'))
    lines.push('tensorflow is not installed: npx forge engine install tensorflow [--gpu]');
  process.stdout.write(`${json ? JSON.stringify(engines) : lines.join('\n')}\n`);
  return 0;
}

function listedLine({ engine, version, directory, sizeBytes, devices, missing }: ListedEngine): string {
  const lacks = missing.length === 0 ? '' : `  INCOMPLETE: lacks ${missing.join(', ')}`;
  const size = `${(sizeBytes / 1e6).toFixed(0)} MB`;
  return `${engine.padEnd(11)} ${version.padEnd(8)} ${devices.join(', ').padEnd(17)} ${size.padStart(8)}  ${directory}${lacks}`;
}

/** `forge engine check [ENGINE]`: lets engines compute; 1 when one of them can't on any device. */
export async function checkEngines(
  name: string | undefined,
  { json }: EngineCommandOptions,
): Promise<number> {
  const wanted = name === undefined ? null : engineOf(name);
  const listed = listedEngines().filter(({ engine }) => wanted === null || engine === wanted);
  if (listed.length === 0)
    throw new ForgeError(
      'ENGINE_NOT_INSTALLED',
      `${name} is not installed; run \`npx forge engine install ${name}\``,
      { engine: name ?? '' },
    );
  const threads = availableParallelism();
  const checks = [];
  // TensorFlow may be installed for the CPU and for GPUs: the places share a device.
  for (const engine of new Set(listed.map((one) => one.engine))) {
    const devices = new Set(listed.flatMap((one) => (one.engine === engine ? one.devices : [])));
    const check = await checkEngine(engine, [...devices], threads);
    checks.push(check);
    if (!json) process.stdout.write(`${checkedLines(check, threads).join('\n')}\n`);
  }
  if (json) process.stdout.write(`${JSON.stringify({ threads, engines: checks })}\n`);
  return checks.every(isUsable) ? 0 : 1;
}

function checkedLines({ engine, version, devices }: EngineCheck, threads: number): string[] {
  return devices.map(({ device, gflops, problem }) => {
    const speeds = Object.entries(gflops)
      .filter(([, value]) => value !== null)
      .map(([mode, value]) => `${mode} ${value!.toFixed(0)} GFLOP/s`);
    const said = problem ?? `${speeds.join(', ')}${device === 'cpu' ? ` (${threads} threads)` : ''}`;
    return `${engine.padEnd(11)} ${(version ?? '-').padEnd(8)} ${device.padEnd(7)} ${said}`;
  });
}

/** @throws {ForgeError} CONFIG_INVALID for any other name. */
function engineOf(name: string): EngineName {
  const found = NAMES.find((one) => one === name);
  if (found !== undefined) return found;
  const message = `engine: found ${name}, expected one of ${NAMES.join(', ')}`;
  throw new ForgeError('CONFIG_INVALID', message, { field: 'engine', found: name });
}
