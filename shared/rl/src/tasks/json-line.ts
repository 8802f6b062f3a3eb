import { ForgeError } from '@forge/errors';

/** A line of a file, for messages. */
export interface Line {
  path: string;
  number: number;
}

/** @throws {ForgeError} CONFIG_DATASET_INVALID when the text is not a JSON object. */
export function parseRecord(line: Line, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    // Files put one behind the other keep their byte order marks.
    value = JSON.parse(text.replace(/^\ufeff/, ''));
  } catch (cause) {
    throw invalidLine(line, undefined, visible((cause as Error).message), 'a JSON object', { cause });
  }
  if (isObject(value) && !Array.isArray(value)) return value;
  throw invalidLine(line, undefined, JSON.stringify(value), 'a JSON object');
}

/**
 * The value of a field; a name with dots leads into objects and lists, `messages.0.content`, unless there is a field of
 * just that name.
 *
 * @throws {ForgeError} CONFIG_DATASET_INVALID naming the fields there are where the way ends.
 */
export function fieldOf(
  line: Line,
  record: Readonly<Record<string, unknown>>,
  field: string,
  expected: string,
): unknown {
  if (Object.hasOwn(record, field)) return record[field];
  let value: unknown = record;
  const keys = field.split('.');
  for (const [i, key] of keys.entries()) {
    if (isObject(value) && Object.hasOwn(value, key)) {
      value = value[key];
      continue;
    }
    const parent = i === 0 ? '' : ` of '${keys.slice(0, i).join('.')}'`;
    const there = isObject(value)
      ? `fields${parent}: ${Object.keys(value).join(', ') || 'none'}`
      : `${keys.slice(0, i).join('.')} is ${JSON.stringify(value)}`;
    throw invalidLine(line, field, `no such field (${there})`, expected);
  }
  return value;
}

/** The error that names file and line, and the field where there is one. */
export function invalidLine(
  { path, number }: Line,
  field: string | undefined,
  found: string,
  expected: string,
  options?: { cause: unknown },
): ForgeError {
  const shown = found.length > 120 ? `${found.slice(0, 120)}…` : found;
  const where = field === undefined ? `${path}:${number}` : `${path}:${number}: field '${field}'`;
  return new ForgeError(
    'CONFIG_DATASET_INVALID',
    `${where}: found ${shown}, expected ${expected}`,
    { path, line: number, ...(field !== undefined && { field }) },
    options,
  );
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** The text with the code points of characters that are not to be seen. */
function visible(text: string): string {
  return text.replace(/[\p{C}\p{Z}]/gu, (character) =>
    character === ' ' ? ' ' : `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`,
  );
}
