import { hashFiles, type DatasetTaskConfig } from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { DownloadWatch } from '@forge/downloads';
import { HubRepository, parseHubName } from '@forge/hub';
import { jsonlTask, type SampleLine, type Task } from '@forge/rl';
import { join } from 'node:path';
import { readSamples } from './read-samples';
import { isData, splitFiles } from './split-files';

/** A file of samples: where it lies, and how messages and ids name it. */
interface DataFile {
  path: string;
  name: string;
}

/** The files of a task, and the task that names just these for good. */
interface Located {
  training: readonly DataFile[];
  heldOut: readonly DataFile[] | null;
  task: DatasetTaskConfig;
}

/**
 * The task with the commit and the files of its data set, which are downloaded where they are missing, and the hashes of
 * its files. Those it has already stay.
 *
 * @throws {ForgeError} CONFIG_INVALID for a data set whose name is none; CONFIG_DATASET_INVALID when its splits can't be told;
 *   CONFIG_FILE_UNREADABLE; as `HubRepository`.
 */
export async function pinnedDataset(
  given: DatasetTaskConfig,
  watch?: DownloadWatch,
): Promise<DatasetTaskConfig> {
  const { task, training, heldOut } = await locate(given, watch);
  const sha256 = task.sha256 ?? hashFiles(pathsOf(training));
  if (heldOut === null) return { ...task, sha256 };
  return { ...task, sha256, heldOutSha256: task.heldOutSha256 ?? hashFiles(pathsOf(heldOut)) };
}

/**
 * The samples of a task's files.
 *
 * @throws {ForgeError} CONFIG_DATASET_INVALID naming file and line, or both hashes of files that have changed; as
 *   `pinnedDataset`.
 */
export async function datasetTask(given: DatasetTaskConfig, seed: number): Promise<Task> {
  const { task, training, heldOut } = await locate(given);
  checkHash(training, task.sha256);
  if (heldOut !== null) checkHash(heldOut, task.heldOutSha256);
  const difficultyField = task.curriculum?.field;
  const fields = [task.promptField, ...(task.answerField === undefined ? [] : [task.answerField])];
  const trained = [...fields, ...(difficultyField === undefined ? [] : [difficultyField])];
  const [first, ...more] = await Promise.all(training.map((file) => sourceOf(file, trained)));
  const evaluation = heldOut && (await Promise.all(heldOut.map((file) => sourceOf(file, fields))));
  return jsonlTask(first!.lines, {
    ...task,
    path: first!.path,
    moreFiles: more,
    heldOutFiles: evaluation ?? undefined,
    difficultyField,
    seed,
  });
}

/**
 * The folder with all data files of a data set of the hub, which are downloaded where they are missing.
 *
 * @throws {ForgeError} as `pinnedDataset`.
 */
export async function datasetFolder(
  name: string,
  watch: DownloadWatch,
): Promise<{ dir: string; dataset: string }> {
  const repository = await openDataset(name, watch);
  const paths = (await repository.paths()).filter(isData);
  if (paths.length === 0) {
    const message = `${name}: found no data files, expected Parquet, JSONL or CSV`;
    throw new ForgeError('CONFIG_DATASET_INVALID', message, { dataset: name });
  }
  await repository.download(paths);
  return { dir: repository.dir, dataset: repository.pinned };
}

async function locate(task: DatasetTaskConfig, watch: DownloadWatch = {}): Promise<Located> {
  const { path, heldOutPath, dataset } = task;
  if (dataset === undefined) {
    const local = (file: string): DataFile[] => [{ path: file, name: file }];
    return { task, training: local(path!), heldOut: heldOutPath === undefined ? null : local(heldOutPath) };
  }
  const repository = await openDataset(dataset, watch);
  const { files, heldOutFiles } = await filesOf(task, dataset, repository);
  await repository.download([...files, ...(heldOutFiles ?? [])]);
  const inCache = (name: string): DataFile => ({ path: join(repository.dir, name), name });
  return {
    training: files.map(inCache),
    heldOut: heldOutFiles?.map(inCache) ?? null,
    task: { ...task, dataset: repository.pinned, files, ...(heldOutFiles && { heldOutFiles }) },
  };
}

async function filesOf(
  { subset, split, heldOutSplit, files, heldOutFiles }: DatasetTaskConfig,
  dataset: string,
  repository: HubRepository,
): Promise<{ files: string[]; heldOutFiles: string[] | null }> {
  const isHeldOutNamed = heldOutFiles !== undefined || heldOutSplit === undefined;
  const paths = files !== undefined && isHeldOutNamed ? [] : await repository.paths();
  const choose = (field: 'split' | 'heldOutSplit', name: string): string[] =>
    splitFiles(paths, { dataset, subset, split: name, field });
  return {
    files: files ?? choose('split', split),
    heldOutFiles: heldOutFiles ?? (heldOutSplit === undefined ? null : choose('heldOutSplit', heldOutSplit)),
  };
}

async function openDataset(dataset: string, watch: DownloadWatch): Promise<HubRepository> {
  const name = parseHubName(dataset);
  if (name !== null) return HubRepository.open('dataset', name, watch);
  const message = `task.dataset: found ${dataset}, expected org/name or org/name@revision on the hub; a file is named by task.path`;
  throw new ForgeError('CONFIG_INVALID', message, { field: 'task.dataset' });
}

function pathsOf(files: readonly DataFile[]): string[] {
  return files.map(({ path }) => path);
}

async function sourceOf(
  { path, name }: DataFile,
  fields: readonly string[],
): Promise<{ path: string; lines: readonly SampleLine[] }> {
  return { path: name, lines: await readSamples(path, fields) };
}

function checkHash(files: readonly DataFile[], expected: string | undefined): void {
  if (expected === undefined) return;
  const found = hashFiles(pathsOf(files));
  if (found === expected) return;
  const path = files.map(({ name }) => name).join(', ');
  const message = `${path}: found sha256 ${found}, expected ${expected}; the file has changed: put it back as it was, or start a new run with this one`;
  throw new ForgeError('CONFIG_DATASET_INVALID', message, { path, found, expected });
}
