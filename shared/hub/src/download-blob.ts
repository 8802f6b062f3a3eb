import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { absentAs } from '@forge/files';
import { ForgeError } from '@forge/errors';
import { bytesInWords, type DownloadWatch } from './download-watch';
import { cancelled, reasonOf } from './hub-fetch';

/** A file of a repository, as its tree lists it. */
export interface RemoteFile {
  path: string;
  sizeBytes: number;
  /** The name of its blob: the sha256 of a large file, else the id git gives it. */
  etag: string;
  isLarge: boolean;
}

export interface BlobSource {
  file: RemoteFile;
  url: string;
  fetch: typeof fetch;
}

/** Breaks in a row without a byte between them. */
const MAX_BREAKS = 5;
/** A connection that is silent for so long is broken. */
const SILENCE_MS = 30_000;

/** The beginning of a blob; Python's tools have another name for theirs. */
export function partialOf(blob: string): string {
  return `${blob}.forge-incomplete`;
}

/** Bytes of a file that an earlier attempt has left. */
export async function partialBytes(blob: string): Promise<number> {
  return (await absentAs(null, () => stat(partialOf(blob))))?.size ?? 0;
}

/**
 * Brings a file to `blob`, from where an earlier attempt ended; a connection that breaks is opened again. The blob is
 * there whole, with the hash that the hub says, or not at all. `onBytes` is called with the bytes that arrive.
 *
 * @throws {ForgeError} CONTRACT_DOWNLOAD_CORRUPT for a file with another hash, which is removed; TRANSIENT_HUB_UNREACHABLE;
 *   CANCELLED; as the `fetch` of the source.
 */
export async function downloadBlob(
  blob: string,
  source: BlobSource,
  watch: DownloadWatch,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const partial = partialOf(blob);
  await mkdir(dirname(blob), { recursive: true });
  const wasResumed = (await partialBytes(blob)) > 0;
  let found = await fill(partial, source, watch, onBytes);
  if (found !== source.file.etag && wasResumed) {
    // A power failure may have cost what the earlier attempt left.
    await discard(partial, onBytes);
    found = await fill(partial, source, watch, onBytes);
  }
  if (found !== source.file.etag) {
    await discard(partial, onBytes);
    throw corrupt(source, found);
  }
  await rename(partial, blob);
}

async function discard(partial: string, onBytes: (bytes: number) => void): Promise<void> {
  onBytes(-((await absentAs(null, () => stat(partial)))?.size ?? 0));
  await rm(partial, { force: true });
}

/** Fills `partial` up to the size of the file; the hash of what it holds then. */
async function fill(
  partial: string,
  source: BlobSource,
  watch: DownloadWatch,
  onBytes: (bytes: number) => void,
): Promise<string> {
  const { file } = source;
  const handle = await open(partial, 'a');
  try {
    const hash = hashFor(file);
    let { size } = await handle.stat();
    if (size > file.sizeBytes) {
      await handle.truncate(0);
      onBytes(-size);
      size = 0;
    }
    for await (const chunk of createReadStream(partial)) hash.update(chunk as Buffer);
    for (let breaks = 0; size < file.sizeBytes;) {
      const before = size;
      const reason = await append(handle, source, size, watch.signal, (chunk) => {
        hash.update(chunk);
        size += chunk.length;
        onBytes(chunk.length);
      });
      if (size >= file.sizeBytes) break;
      breaks = size > before ? 0 : breaks + 1;
      if (breaks >= MAX_BREAKS) throw broken(source, reason);
      watch.say?.(
        `the connection broke at ${bytesInWords(size)} of ${file.path} (${reason}); going on from there`,
      );
    }
    await handle.sync();
    return size === file.sizeBytes ? hash.digest('hex') : `a file of ${size} bytes`;
  } finally {
    await handle.close();
  }
}

/** Appends what one answer gives from `start` on; in words why it ended. */
async function append(
  handle: FileHandle,
  { url, fetch, file }: BlobSource,
  start: number,
  signal: AbortSignal | undefined,
  onChunk: (chunk: Uint8Array) => void,
): Promise<string> {
  const silence = new AbortController();
  const headers: Record<string, string> = start > 0 ? { range: `bytes=${start}-` } : {};
  const response = await fetch(url, { headers, signal: silence.signal });
  const timer = setTimeout(() => {
    silence.abort();
  }, SILENCE_MS);
  // A server that knows no ranges sends all of it again.
  let skipped = response.status === 206 ? start : 0;
  let left = file.sizeBytes - start;
  try {
    for await (const piece of response.body ?? []) {
      timer.refresh();
      const skip = Math.min(start - skipped, piece.length);
      skipped += skip;
      const chunk = piece.subarray(skip);
      if (chunk.length > left) return 'more bytes than the hub lists';
      left -= chunk.length;
      await handle.appendFile(chunk);
      onChunk(chunk);
    }
    return 'it ended early';
  } catch (error) {
    if (signal?.aborted) throw cancelled();
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw diskFull(file, error);
    return silence.signal.aborted ? `nothing for ${SILENCE_MS / 1000} s` : reasonOf(error);
  } finally {
    clearTimeout(timer);
  }
}

function hashFor({ isLarge, sizeBytes }: RemoteFile): Hash {
  if (isLarge) return createHash('sha256');
  return createHash('sha1').update(`blob ${sizeBytes}\0`);
}

function corrupt({ file, url }: BlobSource, found: string): ForgeError {
  const message = `${url}: found ${file.isLarge ? 'sha256' : 'git hash'} ${found}, expected ${file.etag}; what arrived is removed: try again, and see what stands between this machine and the hub (HF_ENDPOINT, a proxy) if it comes again`;
  return new ForgeError('CONTRACT_DOWNLOAD_CORRUPT', message, { url, found, expected: file.etag });
}

function broken({ file, url }: BlobSource, reason: string): ForgeError {
  const message = `${url}: the connection broke ${MAX_BREAKS} times in a row (${reason}); what has arrived of ${file.path} is kept, and the same command goes on from there`;
  return new ForgeError('TRANSIENT_HUB_UNREACHABLE', message, { url, why: reason });
}

function diskFull(file: RemoteFile, cause: unknown): ForgeError {
  const message = `${file.path}: the disk is full; free space, or set HF_HOME to a directory on another disk, and the same command goes on`;
  return new ForgeError('CAPACITY_DISK_FULL', message, { errno: 'ENOSPC' }, { cause });
}
