import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { packageIndexUrl } from '@forge/config';
import {
  bytesInWords,
  downloadFile,
  patientFetch,
  requireSpace,
  underLock,
  type DownloadWatch,
} from '@forge/downloads';
import { tensorflowPlace, type TensorflowKind } from '@forge/engine';
import { flush, replaceDirectory } from '@forge/files';
import { bindingSources, compileBinding } from './compile-binding';
import { extractMembers } from './extract-members';
import { INDEX_SOURCE } from './index-source';
import { locate } from './package-index';
import { runProgram } from './run-program';
import type { PinnedFile, TensorflowRelease } from './tensorflow-release';

/** The part of a watch that an installation needs. */
export type InstallWatch = Required<Pick<DownloadWatch, 'say' | 'onProgress'>>;

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
  const onWait = (holder: string): void => {
    watch.say(`${holder} is installing it already; waiting for it`);
  };
  await underLock(`${root}.lock`, { onWait }, async () => {
    if (tensorflowPlace(kind).missing.length === 0) {
      watch.say(`tensorflow is there already; to install it anew, remove ${root}`);
      return;
    }
    await removeLeftovers(root);
    await requireSpace(engines, {
      what: 'the installation of tensorflow',
      bytes: release.neededBytes,
      variable: INDEX_SOURCE.directoryVariable,
    });
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

/** Makes the whole engine in `stage`. */
async function build(
  { wheels, packages }: TensorflowRelease,
  { stage, downloads }: { stage: string; downloads: string },
  watch: InstallWatch,
): Promise<void> {
  const [libraries, work] = [join(stage, 'tensorflow'), join(stage, 'work')];
  // Look for a compiler before gigabytes are downloaded.
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
  const fetch = patientFetch(INDEX_SOURCE, watch);
  const address = await locate(wheel, packageIndexUrl(), fetch);
  const { sha256: digest, sizeBytes } = wheel;
  const name = wheel.filename.split('-', 2).join(' ');
  watch.say(`downloading ${name} from ${address.host}: ${bytesInWords(sizeBytes)}`);
  await downloadFile(path, {
    file: { name, address, sizeBytes, algorithm: 'sha256', digest },
    source: INDEX_SOURCE,
    fetch,
    watch,
    onBytes: (doneBytes) => {
      watch.onProgress({ doneBytes, totalBytes: sizeBytes });
    },
  });
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
