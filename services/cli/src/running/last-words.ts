import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const READ_BYTES = 64 * 1024;

/**
 * The last thing a service said before it ended, without its name: from its last line `service: ...` on, since a message
 * may list several problems, else its last line. Null where it said nothing.
 *
 * @param from bytes of the log that were there before it.
 */
export function lastWords(logFile: string, from: number, service: string): string | null {
  const text = endOf(logFile, from).trimEnd();
  const named = `${service}: `;
  const at = text.lastIndexOf(`\n${named}`) + 1;
  if (text.startsWith(named, at)) return text.slice(at + named.length);
  return text.slice(text.lastIndexOf('\n') + 1) || null;
}

function endOf(file: string, from: number): string {
  const log = openSync(file, 'r');
  try {
    const { size } = fstatSync(log);
    const bytes = Buffer.alloc(Math.min(size - from, READ_BYTES));
    const read = readSync(log, bytes, 0, bytes.length, size - bytes.length);
    return bytes.toString('utf8', 0, read);
  } finally {
    closeSync(log);
  }
}
