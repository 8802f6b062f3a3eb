import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { absentAs } from '@forge/files';
import { ForgeError } from '@forge/errors';
import { indexFetch, reasonOf, refused, shown, unreachable } from './index-fetch';

/** Attempts in a row that may bring nothing. */
const MAX_ATTEMPTS = 5;
const FIRST_DELAY_MS = 500;

export interface DownloadOptions {
  sha256: string;
  sizeBytes: number;
  /** Called with the bytes that are there. */
  onBytes?: (bytes: number) => void;
  say?: (message: string) => void;
  sleep: (ms: number) => Promise<unknown>;
}

/**
 * Brings a file to `path`, whole and with its hash or not at all. What an earlier attempt has left in `<path>.part` is gone
 * on with, and so is a connection that breaks.
 *
 * @throws {ForgeError} CONTRACT_DOWNLOAD_CORRUPT for another hash, and what arrived is removed; TRANSIENT_INDEX_UNREACHABLE;
 *   as `refused`.
 */
export async function download(address: URL, path: string, options: DownloadOptions): Promise<void> {
  const { sha256, sizeBytes, onBytes } = options;
  if ((await sizeOf(path)) === sizeBytes && (await sha256Of(path)) === sha256) {
    onBytes?.(sizeBytes);
    return;
  }
  const part = `${path}.part`;
  const wasResumed = (await sizeOf(part)) > 0;
  let found = await fill(address, part, options);
  if (found !== sha256 && wasResumed) {
    // A power failure may have cost what the earlier attempt left.
    await rm(part);
    found = await fill(address, part, options);
  }
  if (found === sha256) {
    await rename(part, path);
    return;
  }
  await rm(part);
  const message = `${shown(address)}: found sha256 ${found}, expected ${sha256}; what arrived is removed: try again, and see what stands between this machine and the index (a proxy, a mirror) if it comes again`;
  throw new ForgeError('CONTRACT_DOWNLOAD_CORRUPT', message, {
    url: shown(address),
    found,
    expected: sha256,
  });
}

/** Fills `part` up to its size; the hash of what it holds then. */
async function fill(address: URL, part: string, options: DownloadOptions): Promise<string> {
  const { sizeBytes, say, sleep } = options;
  if ((await sizeOf(part)) > sizeBytes) await rm(part);
  for (let attempt = 1; ; attempt += 1) {
    const before = await sizeOf(part);
    if (before === sizeBytes) break;
    const reason = await append(address, part, before, options);
    const after = await sizeOf(part);
    if (after >= sizeBytes) break;
    if (after > before) attempt = 0;
    else if (attempt === MAX_ATTEMPTS) throw unreachable(address, reason);
    say?.(`the connection broke (${reason}); going on from ${Math.floor((100 * after) / sizeBytes)} %`);
    await sleep(FIRST_DELAY_MS * 2 ** attempt);
  }
  return sha256Of(part);
}

/** Appends what one answer brings from `start` on; in words why it ended. */
async function append(
  address: URL,
  part: string,
  start: number,
  { onBytes }: DownloadOptions,
): Promise<string> {
  let response;
  try {
    response = await indexFetch(address, start > 0 ? { range: `bytes=${start}-` } : {});
  } catch (error) {
    return String(ForgeError.from(error).details.reason);
  }
  if (!response.ok) {
    await response.body?.cancel();
    const error = refused(address, response.status);
    if (error.retryable) return `it answers ${response.status}`;
    throw error;
  }
  // A server that knows no ranges sends all of it again.
  const isRest = response.status === 206;
  let size = isRest ? start : 0;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of response.body ?? []) {
      size += (chunk as Uint8Array).length;
      onBytes?.(size);
      yield chunk as Uint8Array;
    }
  };
  const file = await open(part, isRest ? 'a' : 'w');
  try {
    await pipeline(counted, file.createWriteStream({ flush: true }));
    return 'it ended early';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === 'write') throw ForgeError.from(error);
    return reasonOf(error);
  } finally {
    await file.close().catch(() => undefined);
  }
}

async function sizeOf(path: string): Promise<number> {
  return (await absentAs(null, () => stat(path)))?.size ?? 0;
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
