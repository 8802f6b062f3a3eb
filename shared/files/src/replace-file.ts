import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';

/** The bytes of a file, or what writes them piece by piece. */
export type FileContent = string | Uint8Array | ((file: FileHandle) => Promise<void>);

export interface ReplaceOptions {
  /** Whether the bytes are on the disk before the file appears. Default true; false where a power failure may cost it. */
  flush?: boolean;
}

/**
 * Writes a file that is there whole or not at all, also after a power failure: under another name in its directory
 * (`<path>.<uuid>.tmp`), flushed, renamed. An older file of that name stays until then; a writer that is killed leaves
 * the `.tmp` behind.
 */
export async function replaceFile(
  path: string,
  content: FileContent,
  { flush: isFlushed = true }: ReplaceOptions = {},
): Promise<void> {
  const temporary = temporaryName(path);
  try {
    const file = await open(temporary, 'w');
    try {
      if (typeof content === 'function') await content(file);
      else await file.writeFile(content);
      if (isFlushed) await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** `replaceFile` for code that can't wait. */
export function replaceFileSync(path: string, content: string): void {
  const temporary = temporaryName(path);
  try {
    const file = openSync(temporary, 'w');
    try {
      writeFileSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Brings a file, or the names in a directory, to the disk. */
export async function flush(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function temporaryName(path: string): string {
  return `${path}.${randomUUID()}.tmp`;
}
