import { basename, dirname } from 'node:path/posix';
import { nearest } from '@forge/config';
import { ForgeError } from '@forge/errors';

/** Endings of the files that samples are read from; where a data set has the same in several, the first counts. */
const ENDINGS = ['.parquet', '.jsonl', '.ndjson', '.json', '.csv', '.tsv'] as const;

export interface SplitChoice {
  /** Name of the data set, for messages. */
  dataset: string;
  subset: string | undefined;
  split: string;
  /** The key of the recipe that names the split. */
  field: 'split' | 'heldOutSplit';
}

/** Whether samples are read from files of this name. */
export function isData(path: string): boolean {
  return ENDINGS.some((ending) => path.endsWith(ending));
}

/**
 * The files of a data set that make up a split, in order. A file belongs to the split that its name or a folder of it says, as
 * `main/train-00000-of-00002.parquet` and `train/0.parquet` belong to `train`; a data set of one file is all `train`.
 *
 * @throws {ForgeError} CONFIG_DATASET_INVALID naming what there is when none fits, or when several parts do.
 */
export function splitFiles(paths: readonly string[], choice: SplitChoice): string[] {
  const { subset, split } = choice;
  const data = paths.filter((path) => isData(path) && (subset === undefined || isOfSubset(path, subset)));
  if (data.length === 0) throw noData(paths, choice);
  const named = data.filter((path) => wordsOf(path).includes(split.toLowerCase()));
  const exact = data.filter((path) => stemOf(path) === split || foldersOf(path).includes(split));
  const found =
    exact.length > 0 ? exact : named.length === 0 && data.length === 1 && split === 'train' ? data : named;
  if (found.length === 0) throw noSplit(data, choice);
  const ending = ENDINGS.find((one) => found.some((path) => path.endsWith(one)))!;
  const chosen = found.filter((path) => path.endsWith(ending)).sort();
  const parts = [...new Set(chosen.map((path) => partOf(path, split)))];
  if (parts.length > 1) throw severalParts(chosen, parts, choice);
  return chosen;
}

/** The name without its ending and the number of its piece: `train` of `train-00000-of-00002-a1b2.parquet`. */
function stemOf(path: string): string {
  return basename(path)
    .replace(/\.[a-z]+$/, '')
    .replace(/-\d+-of-\d+(-[0-9a-f]+)?$/, '');
}

function foldersOf(path: string): string[] {
  const folder = dirname(path);
  return folder === '.' ? [] : folder.split('/');
}

function wordsOf(path: string): string[] {
  return [...foldersOf(path), stemOf(path)]
    .join('/')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
}

function isOfSubset(path: string, subset: string): boolean {
  return foldersOf(path).includes(subset) || wordsOf(stemOf(path)).includes(subset.toLowerCase());
}

/** The part of a data set that a file of a split belongs to; all pieces of one table have the same. */
function partOf(path: string, split: string): string {
  const folders = foldersOf(path);
  return folders.includes(split) ? folders.join('/') : [...folders, stemOf(path)].join('/');
}

function noData(paths: readonly string[], { dataset, subset }: SplitChoice): ForgeError {
  const there = paths.filter(isData);
  const expected = subset === undefined ? ENDINGS.join(', ') : `some of the subset ${subset}`;
  const found = there.length === 0 ? 'no data files' : `the data files ${some(there)}`;
  const message = `${dataset}: found ${found}, expected ${expected}; correct task.subset, or name another data set`;
  return new ForgeError('CONFIG_DATASET_INVALID', message, { dataset });
}

function noSplit(data: readonly string[], { dataset, split, field }: SplitChoice): ForgeError {
  const hint = nearest(split, [...new Set(data.map(stemOf))]);
  const wayOut =
    hint === null
      ? `name files by task.${field === 'split' ? 'files' : 'heldOutFiles'}`
      : `did you mean task.${field}=${hint}?`;
  const message = `${dataset}: found ${some(data)}, expected files of the split ${split}; ${wayOut}`;
  return new ForgeError('CONFIG_DATASET_INVALID', message, { dataset, split });
}

function severalParts(
  chosen: readonly string[],
  parts: readonly string[],
  { dataset, split }: SplitChoice,
): ForgeError {
  const folders = [
    ...new Set(chosen.map((path) => foldersOf(path).find((folder) => folder !== 'data' && folder !== split))),
  ];
  const names = folders.filter((folder) => folder !== undefined);
  const wayOut = names.length > 1 ? `task.subset as one of ${names.join(', ')}` : 'task.split, or task.files';
  const message = `${dataset}: the split ${split} has several parts: ${some(parts)}; set ${wayOut}`;
  return new ForgeError('CONFIG_DATASET_INVALID', message, { dataset, split });
}

function some(names: readonly string[]): string {
  return names.length <= 6
    ? names.join(', ')
    : `${names.slice(0, 6).join(', ')} and ${names.length - 6} more`;
}
