import type { Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { regularExpression } from '../regular-expression';
import { fieldOf, invalidLine, parseRecord, type Line } from './json-line';
import { epochOrder } from './permutation';
import { promptOfField, questionOf } from './prompt-of-field';
import { hashText } from './seeded-hash';
import type { Task } from './task';

export interface JsonlTaskOptions {
  /** Source of the lines, for messages and sample ids. */
  path: string;
  /** Field with the prompt, a text or a list of messages; dots lead inside: `messages.0.content`. */
  promptField: string;
  /** Field with the reference answer, found likewise; also the completion to imitate. Without it samples have no answer. */
  answerField?: string | undefined;
  /** Regular expression whose first group, else whole match, is the answer inside `answerField`. */
  answerPattern?: string | undefined;
  /** Field of training samples that says how hard each is: a text, a number, true or false, of few different ones. */
  difficultyField?: string | undefined;
  /** Makes every prompt a chat that opens with this system message, unless it has one. */
  systemPrompt?: string | undefined;
  /** Files that go on where the lines end. */
  moreFiles?: readonly SampleFile[] | undefined;
  /** Evaluation samples in files of their own. */
  heldOutFiles?: readonly SampleFile[] | undefined;
  /** Lines kept for evaluation when there are no `heldOutFiles`. */
  heldOut?: number | undefined;
  seed: number;
}

/** A line of JSON, or a record that was read from a table. */
export type SampleLine = string | Readonly<Record<string, unknown>>;

/** The lines of a file. */
export interface SampleFile {
  path: string;
  lines: readonly SampleLine[];
}

interface Entry {
  sample: Sample;
  question: string;
  solution?: string;
  difficulty?: string;
}

/** Different values of a field of difficulties at most: each is a pool that takes some draws to know. */
const MAX_DIFFICULTIES = 256;

/**
 * Samples from a JSON object a line, or a row of a table, e.g. GSM8K's question and `… #### 42` with answerPattern `#### (.+)$`. Blank lines
 * count but are skipped. An answer may be a number, true or false.
 *
 * Held out are the `heldOut` lines whose prompts hash lowest, the same for every seed, and with them any repetition of
 * their prompts; a larger `heldOut` includes a smaller one.
 *
 * @throws {ForgeError} CONFIG_DATASET_INVALID naming file, line and field of the first line that is not such an object,
 *   when nothing is left to train on, or when there are more than 256 difficulties; CONFIG_INVALID when `answerPattern` is not a regular expression.
 */
export function jsonlTask(lines: readonly SampleLine[], options: JsonlTaskOptions): Task {
  const { path, moreFiles = [], heldOutFiles, heldOut = 0, seed, difficultyField } = options;
  const parse = (file: SampleFile): Entry[] => parseEntries(file.path, file.lines, options);
  // Evaluation samples are not drawn, however hard they are.
  const parseHeldOut = ({ path, lines }: SampleFile): Entry[] =>
    parseEntries(path, lines, { ...options, difficultyField: undefined });
  const entries = [{ path, lines }, ...moreFiles].flatMap(parse);
  const evaluation = heldOutFiles?.flatMap(parseHeldOut) ?? lowestHashes(entries, heldOut);
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
  if (difficultyField !== undefined) {
    checkDifficulties(training, path, difficultyField);
    task.difficulty = (index) => training[order(index)]!.difficulty!;
  }
  if (options.answerField === undefined) return task;
  return {
    ...task,
    supervised(index) {
      const { sample, solution = '' } = training[order(index)]!;
      return { prompt: sample.prompt, completion: solution };
    },
  };
}

/** @throws {ForgeError} CONFIG_DATASET_INVALID when there are too many different difficulties to know each. */
function checkDifficulties(entries: readonly Entry[], path: string, field: string): void {
  const { size } = new Set(entries.map(({ difficulty }) => difficulty));
  if (size <= MAX_DIFFICULTIES) return;
  const message = `${path}: field '${field}' of task.curriculum.field: found ${size} different values, expected at most ${MAX_DIFFICULTIES}: a subject or a level`;
  throw new ForgeError('CONFIG_DATASET_INVALID', message, { path, field, values: size });
}

function lowestHashes(entries: readonly Entry[], count: number): Entry[] {
  const hashed = entries.map((entry) => ({ entry, hash: hashText(entry.question) }));
  return hashed
    .sort((a, b) => a.hash - b.hash)
    .slice(0, count)
    .map(({ entry }) => entry);
}

function parseEntries(path: string, lines: readonly SampleLine[], options: JsonlTaskOptions): Entry[] {
  const { promptField, answerField, answerPattern, difficultyField, systemPrompt } = options;
  const pattern =
    answerPattern === undefined ? undefined : regularExpression(answerPattern, '', 'task.answerPattern');
  return lines.flatMap((text, i): Entry[] => {
    if (typeof text === 'string' && text.trim() === '') return [];
    const line = { path, number: i + 1 };
    const record = typeof text === 'string' ? parseRecord(line, text) : text;
    const value = fieldOf(line, record, promptField, 'a text or a list of messages');
    const prompt = promptOfField(line, promptField, value, systemPrompt);
    const sample: Sample = { id: `${path}:${line.number}`, prompt };
    const difficulty = difficultyField && { difficulty: difficultyOf(line, record, difficultyField) };
    const entry = { sample, question: questionOf(prompt), ...difficulty };
    if (answerField === undefined) return [entry];
    const solution = answerOf(line, record, answerField);
    const match = pattern?.exec(solution);
    if (pattern && !match)
      throw invalidLine(line, answerField, JSON.stringify(solution), `a match of ${pattern}`);
    sample.answer = (match ? (match[1] ?? match[0]) : solution).trim();
    return [{ ...entry, solution }];
  });
}

/** The name that a field gives to how hard a sample is. */
function difficultyOf(line: Line, record: Readonly<Record<string, unknown>>, field: string): string {
  const expected = 'a text of at most 100 characters, a number, true or false';
  const value = fieldOf(line, record, field, expected);
  const isName = typeof value === 'string' && value !== '' && value.length <= 100;
  if (isName || typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw invalidLine(line, field, JSON.stringify(value), expected);
}

/** The answer that a field holds, as text. */
function answerOf(line: Line, record: Readonly<Record<string, unknown>>, field: string): string {
  const expected = 'a non-empty text, a number, true or false';
  const value = fieldOf(line, record, field, expected);
  if (typeof value === 'string' && value.trim() !== '') return value;
  if (typeof value === 'boolean') return String(value);
  const isExact = typeof value === 'number' && (!Number.isInteger(value) || Number.isSafeInteger(value));
  if (isExact) return String(value);
  throw typeof value === 'number'
    ? invalidLine(line, field, `${value}, which programs round`, 'a whole number of so many digits as a text')
    : invalidLine(line, field, JSON.stringify(value), expected);
}
