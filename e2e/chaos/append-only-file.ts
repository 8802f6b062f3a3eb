import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const CR = 0x0d;
const LOOK_MS = 50;
/** File Redis appends to, as Redis 7 and Valkey name it; a rewrite starts the next one and deletes those before. */
const INCREMENT = /^appendonly\.aof\.(\d+)\.incr\.aof$/;

/** A command that changed something; several that did so at once are one transaction. */
export type Command = readonly Buffer[];

/** Keeps everything that a Redis appends, also what it deletes when it rewrites its file; returns what ends that. */
export function keepHistory(redisDir: string, keptDir: string): () => void {
  const source = join(redisDir, 'appendonlydir');
  mkdirSync(keptDir, { recursive: true });
  const look = (): void => {
    for (const name of existsSync(source) ? readdirSync(source) : []) {
      if (!INCREMENT.test(name) || existsSync(join(keptDir, name))) continue;
      linkSync(join(source, name), join(keptDir, name));
    }
  };
  look();
  const timer = setInterval(look, LOOK_MS);
  return () => {
    clearInterval(timer);
    look();
  };
}

/** Every change a Redis made, oldest first: each item is what one command or script changed at once. */
export function* transactionsOf(keptDir: string): Generator<readonly Command[]> {
  const numbered = readdirSync(keptDir).map((name) => ({
    name,
    sequence: Number(INCREMENT.exec(name)?.[1]),
  }));
  const files = numbered.filter(({ sequence }) => sequence > 0).sort((a, b) => a.sequence - b.sequence);
  if (files.length === 0 || files.some(({ sequence }, i) => sequence !== i + 1))
    throw new Error(
      `${keptDir} does not hold the whole history: ${files.map(({ name }) => name).join(', ') || 'no file'}`,
    );
  for (const { name } of files) {
    let open: Command[] | null = null;
    for (const command of commandsOf(readFileSync(join(keptDir, name)))) {
      const verb = command[0]?.toString().toUpperCase();
      if (verb === 'MULTI') open = [];
      else if (verb === 'EXEC') {
        yield open ?? [];
        open = null;
      } else if (open === null) yield [command];
      else open.push(command);
    }
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
