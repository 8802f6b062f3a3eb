import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { packageIndexUrl } from '@forge/config';
import { tensorflowPlace, type TensorflowKind } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import { flush, replaceDirectory } from '@forge/files';
import { bindingSources, compileBinding } from './compile-binding';
import { download } from './download';
import { extractMembers } from './extract-members';
import { underLock } from './install-lock';
import { locate } from './package-index';
import { runProgram } from './run-program';
import type { PinnedFile, TensorflowRelease } from './tensorflow-release';

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
 * downloaded before an end in the middle is not downloaded again. One that is there stays.
 *
 * @throws {ForgeError} ENGINE_BUILD_FAILED, CAPACITY_DISK_FULL, CONTRACT_DOWNLOAD_CORRUPT, TRANSIENT_INDEX_UNREACHABLE,
 *   CONTRACT_UNAUTHORIZED, CONFIG_INVALID, each with the way out.
 */
export async function installTensorflow(
  kind: TensorflowKind,
  release: TensorflowRelease,
  watch: InstallWatch,
): Promise<void> {
  const { root } = tensorflowPlace(kind);
  const engines = dirname(root);
  await mkdir(engines, { recursive: true });
  const onWait = (pid: number): void => {
    watch.say(`process ${pid} is installing it already; waiting for it`);
  };
  await underLock(`${root}.lock`, { onWait, sleep: watch.sleep }, async () => {
    if (tensorflowPlace(kind).missing.length === 0) {
      watch.say(`tensorflow is there already; to install it anew, remove ${root}`);
      return;
    }
    await removeLeftovers(root);
    await checkDisk(engines, release);
    const downloads = join(engines, 'downloads');
    await mkdir(downloads, { recursive: true });
    const stage = `${root}.${randomUUID()}.tmp`;
    await build(release, { stage, downloads }, watch);
    await replaceDirectory(stage, root);
    for (const { filename } of release.wheels) await rm(join(downloads, filename), { force: true });
  });
}

/** Removes the directories of installations that were killed. */
async function removeLeftovers(root: string): Promise<void> {
  for (const name of await readdir(dirname(root)))
    if (name.startsWith(`${basename(root)}.`) && name.endsWith('.tmp'))
      await rm(join(dirname(root), name), { recursive: true });
}

async function checkDisk(directory: string, { neededBytes }: TensorflowRelease): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const freeBytes = bavail * bsize;
  if (freeBytes >= neededBytes) return;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  const message = `${directory}: ${gigabytes(freeBytes)} are free, the installation takes ${gigabytes(neededBytes)} while it goes on; free space, or set XDG_CACHE_HOME to a directory on another disk`;
  throw new ForgeError('CAPACITY_DISK_FULL', message, { path: directory });
}

/** Makes the whole engine in `stage`. */
async function build(
  { wheels, packages }: TensorflowRelease,
  { stage, downloads }: { stage: string; downloads: string },
  watch: InstallWatch,
): Promise<void> {
  const [libraries, work] = [join(stage, 'tensorflow'), join(stage, 'work')];
  // A compiler that is missing is missed before gigabytes are downloaded.
  const sources = await bindingSources(packages, work);
  const parts = { headers: join(work, 'include'), libraries };
  for (const wheel of wheels) {
    const path = join(downloads, wheel.filename);
    await fetchWheel(wheel, path, watch);
    watch.say(`unpacking ${wheel.filename}`);
    await extractMembers(path, (name) => {
      const [library, header] = [LIBRARY.exec(name)?.[1], HEADER.exec(name)?.[1]];
      if (library !== undefined) return join(libraries, library);
      if (header !== undefined) return join(work, header);
      return CUDA.test(name) ? join(stage, name) : null;
    });
  }
  await strip(libraries, watch);
  watch.say('compiling the binding');
  const binding = join(libraries, 'tfjs_binding.node');
  await compileBinding(sources, parts, binding);
  await flush(binding);
  await rm(work, { recursive: true });
}

async function fetchWheel(wheel: PinnedFile, path: string, watch: InstallWatch): Promise<void> {
  const address = await locate(wheel, packageIndexUrl());
  const onBytes = (bytes: number): void => {
    watch.onBytes(wheel, bytes);
  };
  await download(address, path, { ...wheel, onBytes, say: watch.say, sleep: watch.sleep });
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
