import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { absentAs } from '@forge/files';
import { ForgeError } from '@forge/errors';
import { bytesInWords, cancelled, type DownloadWatch } from './download-watch';
import { reasonOf, type DownloadSource } from './patient-fetch';

/** A file of a server, and how it is told from all others. */
export interface RemoteFile {
  /** Its name in messages. */
  name: string;
  address: string | URL;
  sizeBytes: number;
  algorithm: 'sha256' | 'sha1';
  /** The hash of its bytes, after those of `prefix`, in hexadecimal digits. */
  digest: string;
  prefix?: string;
}

interface Transfer {
  file: RemoteFile;
  source: DownloadSource;
  /** A `fetch` whose responses are good ones. */
  fetch: typeof fetch;
  watch: Pick<DownloadWatch, 'say' | 'signal'>;
  /** Called with the bytes of the file that are there. */
  onBytes: (bytes: number) => void;
}

/** Breaks in a row without a byte between them. */
const MAX_BREAKS = 5;

/** Bytes of a file that an earlier attempt has left. */
export function partialBytes(path: string): Promise<number> {
  return sizeOf(partialOf(path));
}

/** The beginning of a file; Python's tools have another name for theirs. */
function partialOf(path: string): string {
  return `${path}.forge-incomplete`;
}

/**
 * Brings a file to `path`, from where an earlier attempt ended; a connection that breaks is opened again. The file is
 * there whole, with its hash, or not at all. One that is there stays.
 *
 * @throws {ForgeError} CONTRACT_DOWNLOAD_CORRUPT for a file with another hash, which is removed; CAPACITY_DISK_FULL; as
 *   `patientFetch`.
 */
export async function downloadFile(path: string, transfer: Transfer): Promise<void> {
  const { file, onBytes } = transfer;
  if ((await sizeOf(path)) === file.sizeBytes && (await hashOf(path, file)).digest('hex') === file.digest) {
    onBytes(file.sizeBytes);
    return;
  }
  const partial = partialOf(path);
  await mkdir(dirname(path), { recursive: true });
  const wasResumed = (await sizeOf(partial)) > 0;
  let found = await fill(partial, transfer);
  if (found !== file.digest && wasResumed) {
    // A power failure may have cost what the earlier attempt left.
    await rm(partial);
    found = await fill(partial, transfer);
  }
  if (found !== file.digest) {
    await rm(partial);
    onBytes(0);
    throw corrupt(file, found);
  }
  await rename(partial, path);
}

/** Fills `partial` up to the size of the file; the hash of what it holds then. */
async function fill(partial: string, transfer: Transfer): Promise<string> {
  const { file, watch, onBytes } = transfer;
  const handle = await open(partial, 'a');
  try {
    let { size } = await handle.stat();
    if (size > file.sizeBytes) {
      await handle.truncate(0);
      size = 0;
    }
    onBytes(size);
    const hash = await hashOf(partial, file);
    for (let breaks = 0; size < file.sizeBytes;) {
      const before = size;
      const reason = await append(handle, transfer, size, (chunk) => {
        hash.update(chunk);
        size += chunk.length;
        onBytes(size);
      });
      if (size >= file.sizeBytes) break;
      breaks = size > before ? 0 : breaks + 1;
      if (breaks >= MAX_BREAKS) throw broken(transfer, reason);
      watch.say?.(
        `the connection broke at ${bytesInWords(size)} of ${file.name} (${reason}); going on from there`,
      );
    }
    await handle.sync();
    return hash.digest('hex');
  } finally {
    await handle.close();
  }
}

/** Appends what one answer gives from `start` on; in words why it ended. */
async function append(
  handle: FileHandle,
  { file, source, fetch, watch }: Transfer,
  start: number,
  onChunk: (chunk: Uint8Array) => void,
): Promise<string> {
  const response = await fetch(file.address, start > 0 ? { headers: { range: `bytes=${start}-` } } : {});
  // A server that knows no ranges sends all of it again.
  let skipped = response.status === 206 ? start : 0;
  let left = file.sizeBytes - start;
  try {
    for await (const piece of response.body ?? []) {
      const skip = Math.min(start - skipped, piece.length);
      skipped += skip;
      const chunk = piece.subarray(skip);
      if (chunk.length > left) return 'more bytes than the server lists';
      left -= chunk.length;
      await handle.appendFile(chunk);
      onChunk(chunk);
    }
    return 'it ended early';
  } catch (error) {
    if (watch.signal?.aborted) throw cancelled();
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') throw diskFull(file, source, error);
    if (syscall === 'write') throw error;
    return reasonOf(error);
  }
}

async function sizeOf(path: string): Promise<number> {
  return (await absentAs(null, () => stat(path)))?.size ?? 0;
}

async function hashOf(path: string, { algorithm, prefix = '' }: RemoteFile): Promise<Hash> {
  const hash = createHash(algorithm).update(prefix);
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash;
}

/** An address without user and password, as it may be shown. */
export function shownAddress(address: string | URL): string {
  return Object.assign(new URL(address), { username: '', password: '' }).href;
}

function corrupt({ address, algorithm, digest }: RemoteFile, found: string): ForgeError {
  const url = shownAddress(address);
  const message = `${url}: found ${algorithm} ${found}, expected ${digest}; what arrived is removed: try again, and see what stands between this machine and the server (a proxy, a mirror) if it comes again`;
  return new ForgeError('CONTRACT_DOWNLOAD_CORRUPT', message, { url, found, expected: digest });
}

function broken({ file, source }: Transfer, reason: string): ForgeError {
  const url = shownAddress(file.address);
  const message = `${url}: the connection broke ${MAX_BREAKS} times in a row (${reason}); what has arrived of ${file.name} is kept, and the same command goes on from there`;
  return new ForgeError(source.unreachable, message, { url, why: reason });
}

function diskFull({ name }: RemoteFile, { directoryVariable }: DownloadSource, cause: unknown): ForgeError {
  const message = `${name}: the disk is full; free space, or set ${directoryVariable} to a directory on another disk, and the same command goes on`;
  return new ForgeError('CAPACITY_DISK_FULL', message, { errno: 'ENOSPC' }, { cause });
}
