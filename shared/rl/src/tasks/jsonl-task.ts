import type { Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { regularExpression } from '../regular-expression';
import { epochOrder } from './permutation';
import { hashText } from './seeded-hash';
import type { Task } from './task';

export interface JsonlTaskOptions {
  /** Where the lines come from, for messages and sample ids. */
  path: string;
  promptField: string;
  /** Field with the reference answer; also the completion to imitate. Left out: samples have no answer. */
  answerField?: string | undefined;
  /** Regular expression whose first group, else whole match, is the answer inside `answerField`. */
  answerPattern?: string | undefined;
  /** Makes every prompt a chat that opens with this system message. */
  systemPrompt?: string | undefined;
  /** Evaluation samples in a file of their own. */
  heldOutFile?: { path: string; lines: readonly string[] } | undefined;
  /** Lines kept for evaluation when there is no `heldOutFile`. */
  heldOut?: number | undefined;
  seed: number;
}

interface Entry {
  sample: Sample;
  question: string;
  solution?: string;
}

/**
 * Samples from a JSON object a line, e.g. GSM8K's question and `… #### 42` with answerPattern `#### (.+)$`. Blank lines
 * count but are skipped.
 *
 * Held out are the `heldOut` lines whose prompts hash lowest, the same for every seed, and with them any repetition of
 * their prompts; a larger `heldOut` includes a smaller one.
 *
 * @throws {ForgeError} CONFIG_DATASET_INVALID naming file, line and field of the first line that is not such an object,
 *   or when nothing is left to train on; CONFIG_INVALID when `answerPattern` is not a regular expression.
 */
export function jsonlTask(lines: readonly string[], options: JsonlTaskOptions): Task {
  const { path, heldOutFile, heldOut = 0, seed } = options;
  const entries = parseEntries(path, lines, options);
  const evaluation = heldOutFile
    ? parseEntries(heldOutFile.path, heldOutFile.lines, options)
    : lowestHashes(entries, heldOut);
  const evaluated = new Set(evaluation.map(({ question }) => question));
  const training = entries.filter(({ question }) => !evaluated.has(question));
  if (training.length === 0) {
    const found = entries.length === 0 ? 'no samples' : `that all ${entries.length} samples are held out`;
    throw new ForgeError('CONFIG_DATASET_INVALID', `${path}: found ${found}, expected some to train on`, {
      path,
    });
  }
  const order = epochOrder(training.length, seed);
  const task: Task = {
    size: training.length,
    sample: (index) => training[order(index)]!.sample,
    heldOut: evaluation.map(({ sample }) => sample),
  };
  if (options.answerField === undefined) return task;
  return {
    ...task,
    supervised(index) {
      const { sample, solution = '' } = training[order(index)]!;
      return { prompt: sample.prompt, completion: solution };
    },
  };
}

function lowestHashes(entries: readonly Entry[], count: number): Entry[] {
  const hashed = entries.map((entry) => ({ entry, hash: hashText(entry.question) }));
  return hashed
    .sort((a, b) => a.hash - b.hash)
    .slice(0, count)
    .map(({ entry }) => entry);
}

function parseEntries(path: string, lines: readonly string[], options: JsonlTaskOptions): Entry[] {
  const { promptField, answerField, answerPattern, systemPrompt } = options;
  const pattern =
    answerPattern === undefined ? undefined : regularExpression(answerPattern, '', 'task.answerPattern');
  return lines.flatMap((text, i): Entry[] => {
    if (text.trim() === '') return [];
    const line = { path, number: i + 1 };
    const record = parseRecord(line, text);
    const question = stringField(line, record, promptField);
    const sample: Sample = { id: `${path}:${line.number}`, prompt: question };
    if (systemPrompt !== undefined) {
      sample.prompt = [
        { role: 'system', content: systemPrompt },
        { role: 'user', content: question },
      ];
    }
    if (answerField === undefined) return [{ sample, question }];
    const solution = stringField(line, record, answerField);
    const match = pattern?.exec(solution);
    if (pattern && !match)
      throw invalid(line, answerField, JSON.stringify(solution), `a match of ${pattern}`);
    sample.answer = (match ? (match[1] ?? match[0]) : solution).trim();
    return [{ sample, question, solution }];
  });
}

interface Line {
  path: string;
  number: number;
}

function parseRecord(line: Line, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    // Files put one behind the other keep their byte order marks.
    value = JSON.parse(text.replace(/^\ufeff/, ''));
  } catch (cause) {
    throw invalid(line, undefined, visible((cause as Error).message), 'a JSON object', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(line, undefined, JSON.stringify(value), 'a JSON object');
  }
  return { ...value };
}

/** The text with the code points of characters that are not to be seen. */
function visible(text: string): string {
  return text.replace(/[\p{C}\p{Z}]/gu, (character) =>
    character === ' ' ? ' ' : `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`,
  );
}

function stringField(line: Line, record: Record<string, unknown>, field: string): string {
  const value = Object.hasOwn(record, field) ? record[field] : undefined;
  if (value === undefined) {
    throw invalid(
      line,
      field,
      `no such field (fields: ${Object.keys(record).join(', ') || 'none'})`,
      'a text',
    );
  }
  if (typeof value !== 'string' || value.trim() === '') {
    throw invalid(line, field, JSON.stringify(value), 'a non-empty text');
  }
  return value;
}

function invalid(
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
