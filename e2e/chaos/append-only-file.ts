import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const CR = 0x0d;

/** A command that changed something; several that did so at once are one transaction. */
export type Command = readonly Buffer[];

/**
 * Every change a Redis made, oldest first, from its append-only file: each item is what one command or script changed
 * at once. Needs a file that was never rewritten.
 */
export function* transactionsOf(dir: string): Generator<readonly Command[]> {
  let open: Command[] | null = null;
  for (const file of filesOf(dir)) {
    for (const command of commandsOf(readFileSync(file))) {
      const name = command[0]?.toString().toUpperCase();
      if (name === 'MULTI') open = [];
      else if (name === 'EXEC') {
        yield open ?? [];
        open = null;
      } else if (open === null) yield [command];
      else open.push(command);
    }
    // What was not complete when the server died is not loaded by the next one either.
    open = null;
  }
}

/** The commands in RESP; a last one that is cut off is left out. */
export function* commandsOf(bytes: Buffer): Generator<Command> {
  let at = 0;
  /** The number behind a type mark, e.g. of `*3`. */
  const number = (): number => {
    const end = bytes.indexOf(CR, at);
    if (end < 0) return Number.NaN;
    const value = Number(bytes.toString('latin1', at + 1, end));
    at = end + 2;
    return value;
  };
  while (at < bytes.length) {
    const parts: Buffer[] = [];
    const count = number();
    if (Number.isNaN(count)) return;
    for (let i = 0; i < count; i++) {
      const length = number();
      if (Number.isNaN(length) || at + length + 2 > bytes.length) return;
      parts.push(bytes.subarray(at, at + length));
      at += length + 2;
    }
    yield parts;
  }
}

/** Redis 7 and Valkey keep a manifest and several files, older ones a single file. */
function filesOf(dir: string): string[] {
  const single = join(dir, 'appendonly.aof');
  if (existsSync(single)) return [single];
  const folder = join(dir, 'appendonlydir');
  const manifest = readFileSync(join(folder, 'appendonly.aof.manifest'), 'utf8').trim().split('\n');
  const entries = manifest.map((line) => /^file (\S+) seq (\d+) type (\w)/.exec(line)?.slice(1) ?? []);
  if (entries.some(([, seq, type]) => type === 'b' && seq !== '1'))
    throw new Error(`${folder} was rewritten: what happened before is not in it any more`);
  return entries.filter(([, , type]) => type === 'i').map(([name]) => join(folder, name!));
}
