import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { ForgeError, type ErrorCode } from '@forge/errors';

const PIECE_BYTES = 1 << 20;

export interface ReadTextOptions {
  /** The code of a file that is not UTF-8; left out: CONFIG_FILE_UNREADABLE. */
  code?: ErrorCode;
}

/**
 * The text of a user's file, which is UTF-8. A byte order mark at its start is left out; no character is replaced.
 *
 * @throws {ForgeError} CONFIG_FILE_UNREADABLE when the file can't be read; `code` when it is UTF-16, and naming line and
 *   byte when it is not UTF-8.
 */
export function readText(path: string, { code = 'CONFIG_FILE_UNREADABLE' }: ReadTextOptions = {}): string {
  return decodeText(
    readable(path, () => readFileSync(path)),
    path,
    code,
  );
}

/**
 * The sha256 of files, one behind the other, in hexadecimal.
 *
 * @throws {ForgeError} CONFIG_FILE_UNREADABLE
 */
export function hashFiles(paths: readonly string[]): string {
  const hash = createHash('sha256');
  const piece = Buffer.alloc(PIECE_BYTES);
  for (const path of paths) {
    readable(path, () => {
      const file = openSync(path, 'r');
      try {
        for (let read = 1; read > 0;) {
          read = readSync(file, piece);
          hash.update(piece.subarray(0, read));
        }
      } finally {
        closeSync(file);
      }
    });
  }
  return hash.digest('hex');
}

function readable<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ForgeError('CONFIG_FILE_UNREADABLE', `${path}: ${reason}`, { path }, { cause });
  }
}

/** The lines of a text, ended as on any system: by LF, CRLF or CR. */
export function linesOf(text: string): string[] {
  return text.split(/\r\n|\n|\r/);
}

function decodeText(bytes: Buffer, path: string, code: ErrorCode): string {
  if (looksLikeUtf16(bytes)) {
    const message = `${path}: found UTF-16, expected UTF-8; ${wayOut(path, 'UTF-16')}`;
    throw new ForgeError(code, message, { path, encoding: 'UTF-16' });
  }
  if (!isUtf8(bytes)) throw notUtf8(bytes, path, code);
  return bytes.toString('utf8').replace(/^\ufeff/, '');
}

/** A byte order mark of UTF-16, or a first character of two bytes with a zero among them. */
function looksLikeUtf16(bytes: Buffer): boolean {
  const [first, second] = bytes;
  if (first === undefined || second === undefined) return false;
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff) || first * second === 0;
}

function notUtf8(bytes: Buffer, path: string, code: ErrorCode): ForgeError {
  const offset = firstInvalidByte(bytes);
  const lines = linesOf(bytes.toString('latin1', 0, offset));
  const [line, byte] = [lines.length, lines.at(-1)!.length + 1];
  const value = bytes[offset]!.toString(16).toUpperCase().padStart(2, '0');
  const message = `${path}:${line}: found byte ${value} as byte ${byte} of the line, which is not UTF-8, expected UTF-8; ${wayOut(path, 'WINDOWS-1252')}`;
  return new ForgeError(code, message, { path, line, byte, value });
}

/** Where the first character begins that is not UTF-8. */
function firstInvalidByte(bytes: Buffer): number {
  let i = 0;
  while (i < bytes.length) {
    const lead = bytes[i]!;
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length > 1 && !isUtf8(bytes.subarray(i, i + length))) return i;
    i += length;
  }
  return i;
}

function wayOut(path: string, encoding: string): string {
  return `save it as UTF-8, as with: iconv -f ${encoding} -t UTF-8 ${path}`;
}
