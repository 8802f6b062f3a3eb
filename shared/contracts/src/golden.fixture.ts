import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encode } from './codec';
import { WIRE_MESSAGES } from './wire-messages';

/** A message as it is checked in, for readers and writers in other languages to be held to. */
export interface Golden {
  /** A name of `WIRE_MESSAGES`. */
  message: string;
  /** Hexadecimal: the msgpack, or the JSON in UTF-8. */
  bytes: string;
  /** The same, with typed arrays as `{"int32": [...]}` and bytes as `{"bin": [...]}`. */
  value: unknown;
}

export const GOLDEN_DIRECTORY = join(__dirname, '../golden');

export function goldenFiles(): string[] {
  return readdirSync(GOLDEN_DIRECTORY).filter((name) => name.endsWith('.json'));
}

export function readGolden(file: string): Golden {
  return JSON.parse(readFileSync(join(GOLDEN_DIRECTORY, file), 'utf8')) as Golden;
}

const MARKED: Readonly<Record<string, (values: number[]) => unknown>> = {
  int32: (values) => Int32Array.from(values),
  float32: (values) => Float32Array.from(values),
  uint8: (values) => Uint8Array.from(values),
  bin: (values) => Buffer.from(values),
};

/** The message that a golden value stands for. */
export function fromGolden(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromGolden);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  const [[mark = '', values] = []] = entries;
  if (entries.length === 1 && mark in MARKED && Array.isArray(values))
    return MARKED[mark]!(values as number[]);
  return Object.fromEntries(entries.map(([key, one]) => [key, fromGolden(one)]));
}

/** The bytes of a golden message as this release writes it. */
export function goldenBytes({ message, value }: Pick<Golden, 'message' | 'value'>): Buffer {
  const { encoding } = WIRE_MESSAGES[message]!;
  return encoding === 'json' ? Buffer.from(JSON.stringify(value)) : encode(fromGolden(value));
}
