import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { packageIndexUrl } from '@forge/config';
import {
  requireTensorflow,
  tensorflowPlace,
  tensorflowPlaces,
  type TensorflowKind,
  type TensorflowPlace,
} from '@forge/engine';
import { ForgeError } from '@forge/errors';
import { absentAs, flush, replaceDirectory } from '@forge/files';
import { compileBinding, findCompiler, type BindingParts } from './compile-binding';
import { download } from './download';
import { extractMembers } from './extract-members';
import { underLock } from './install-lock';
import { unpackNpmPackage } from './npm-package';
import { locate } from './package-index';
import { runProgram } from './run-program';
import {
  BINDING_SOURCES,
  NODE_HEADERS,
  tensorflowRelease,
  type Machine,
  type PinnedFile,
  type TensorflowRelease,
} from './tensorflow-release';

/** Who hears of an installation. */
export interface InstallWatch {
  say: (message: string) => void;
  /** The bytes of a file that have arrived. */
  onBytes: (file: PinnedFile, bytes: number) => void;
  sleep: (ms: number) => Promise<unknown>;
}

const LIBRARY = /^tensorflow\/(libtensorflow_(?:cc|framework)\.so\.2)$/;
/** Everything the binding includes, and no more than a tenth of all headers. */
const HEADER =
  /^tensorflow\/(include\/(?:tensorflow\/(?:c|core\/platform)|tsl\/(?:c|platform)|xla\/tsl)\/.*\.h)$/;
/** The libraries of CUDA, and the tools that TensorFlow runs. */
const CUDA = /^nvidia\/[^/]+\/(?:lib|bin|nvvm)\//;

/**
 * Puts TensorFlow where `tensorflowPlace` says, whole or not at all; a second process waits for the first. What was
 * downloaded before an end in the middle is not downloaded again. One that is there stays. Where `FORGE_LIBTENSORFLOW`
 * names libraries, only the binding is made for them.
 *
 * @throws {ForgeError} ENGINE_UNSUPPORTED, ENGINE_BUILD_FAILED, CAPACITY_DISK_FULL, CONTRACT_DOWNLOAD_CORRUPT,
 *   TRANSIENT_INDEX_UNREACHABLE, CONTRACT_UNAUTHORIZED, CONFIG_INVALID, each with the way out.
 */
export async function installTensorflow(
  kind: TensorflowKind,
  machine: Machine,
  watch: InstallWatch,
): Promise<TensorflowPlace> {
  const own = tensorflowPlaces().find(({ isOwn }) => isOwn);
  if (own !== undefined) return bindOwn(own, watch);
  const release = tensorflowRelease(kind, machine);
  const place = tensorflowPlace(kind);
  const engines = dirname(place.root);
  await mkdir(engines, { recursive: true });
  const onWait = (pid: number): void => {
    watch.say(`process ${pid} is installing it already; waiting for it`);
  };
  await underLock(`${place.root}.lock`, { onWait, sleep: watch.sleep }, async () => {
    if (tensorflowPlace(kind).missing.length === 0) {
      watch.say(`tensorflow is there already; to install it anew, remove ${place.root}`);
      return;
    }
    await removeLeftovers(place.root);
    const downloads = join(engines, 'downloads');
    await mkdir(downloads, { recursive: true });
    await checkDisk(engines, release);
    const stage = `${place.root}.${randomUUID()}.tmp`;
    await build(release, { stage, downloads }, watch);
    await replaceDirectory(stage, place.root);
    for (const { filename } of release.wheels) await rm(join(downloads, filename), { force: true });
  });
  return requireTensorflow(kind === 'gpu' ? 'cuda' : 'cpu');
}

/** Installations that were killed. */
async function removeLeftovers(root: string): Promise<void> {
  for (const name of await readdir(dirname(root)))
    if (name.startsWith(`${basename(root)}.`) && name.endsWith('.tmp'))
      await rm(join(dirname(root), name), { recursive: true, force: true });
}

/** Makes the whole engine in `stage`. */
async function build(
  release: TensorflowRelease,
  { stage, downloads }: { stage: string; downloads: string },
  watch: InstallWatch,
): Promise<void> {
  const directory = join(stage, 'tensorflow');
  const sources = join(stage, 'sources');
  // What may be missing is looked for before gigabytes are downloaded.
  const compiler = await findCompiler();
  const parts = await bindingParts(sources, { headers: join(sources, 'include'), libraries: directory });
  for (const wheel of release.wheels) {
    const path = join(downloads, wheel.filename);
    await fetchWheel(wheel, path, watch);
    watch.say(`unpacking ${wheel.filename}`);
    await extractMembers(path, (name) => placeOf(name, { stage, directory, sources }));
  }
  await strip(directory, watch);
  watch.say('compiling the binding');
  await compileBinding(compiler, parts, join(directory, 'tfjs_binding.node'));
  await flush(join(directory, 'tfjs_binding.node'));
  await rm(sources, { recursive: true });
}

function placeOf(
  name: string,
  { stage, directory, sources }: { stage: string; directory: string; sources: string },
): string | null {
  const library = LIBRARY.exec(name)?.[1];
  const header = HEADER.exec(name)?.[1];
  if (library !== undefined) return join(directory, library);
  if (header !== undefined) return join(sources, header);
  return CUDA.test(name) ? join(stage, name) : null;
}

async function fetchWheel(wheel: PinnedFile, path: string, watch: InstallWatch): Promise<void> {
  const address = await locate(wheel, packageIndexUrl());
  await download(address, path, {
    ...wheel,
    onBytes: (bytes) => {
      watch.onBytes(wheel, bytes);
    },
    say: watch.say,
    sleep: watch.sleep,
  });
}

/** The sources of the binding and Node's headers, which npm fetches. */
async function bindingParts(
  dir: string,
  tensorflow: { headers: string; libraries: string },
): Promise<BindingParts> {
  await unpackNpmPackage(BINDING_SOURCES, join(dir, 'binding'));
  await unpackNpmPackage(NODE_HEADERS, join(dir, 'node'));
  return {
    sources: join(dir, 'binding', 'binding'),
    nodeHeaders: join(dir, 'node', 'include'),
    ...tensorflow,
  };
}

/** Takes out what only debuggers need, a quarter of the size; a machine without `strip` keeps it. */
async function strip(directory: string, { say }: InstallWatch): Promise<void> {
  for (const name of await readdir(directory)) {
    const [path, stripped] = [join(directory, name), join(directory, `${name}.stripped`)];
    const { status } = await runProgram('strip', ['--strip-unneeded', '-o', stripped, path]);
    if (status === 0) {
      await rename(stripped, path);
      await flush(path);
      continue;
    }
    await rm(stripped, { force: true });
    say(`strip (binutils) ${status === null ? 'is not there' : 'fails'}: ${name} keeps its symbols`);
  }
}

async function checkDisk(directory: string, { neededBytes }: TensorflowRelease): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const freeBytes = bavail * bsize;
  if (freeBytes >= neededBytes) return;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  const message = `${directory}: ${gigabytes(freeBytes)} are free, the installation takes ${gigabytes(neededBytes)} while it goes on; free space, or set XDG_CACHE_HOME to a directory on another disk`;
  throw new ForgeError('CAPACITY_DISK_FULL', message, { path: directory });
}

/** Compiles the binding for libraries of the user's own, into their directory. */
async function bindOwn(own: TensorflowPlace, watch: InstallWatch): Promise<TensorflowPlace> {
  if (own.missing.length === 0) {
    watch.say(`${own.directory}, which FORGE_LIBTENSORFLOW names, is complete`);
    return own;
  }
  const headers = join(own.directory, 'include');
  const missing = own.missing.filter((file) => file !== basename(own.binding));
  if (!existsSync(join(headers, 'tensorflow', 'c', 'c_api.h'))) missing.push('include/tensorflow/c/c_api.h');
  if (missing.length > 0) {
    const message = `${own.directory}, which FORGE_LIBTENSORFLOW names, lacks ${missing.join(', ')}; name the directory tensorflow of an unpacked wheel, or unset it`;
    throw new ForgeError('ENGINE_NOT_INSTALLED', message, { engine: 'tensorflow', directory: own.directory });
  }
  const sources = join(own.directory, `binding.${randomUUID()}.tmp`);
  try {
    const parts = await bindingParts(sources, { headers, libraries: own.directory });
    watch.say('compiling the binding');
    await compileBinding(await findCompiler(), parts, join(sources, 'tfjs_binding.node'));
    await rename(join(sources, 'tfjs_binding.node'), own.binding);
  } finally {
    await absentAs(undefined, () => rm(sources, { recursive: true }));
  }
  return requireTensorflow('cpu');
}
