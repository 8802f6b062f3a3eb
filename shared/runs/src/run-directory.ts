import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { recipeToYaml, type Recipe } from '@forge/config';
import { check, runPaths } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { absentAsSync, replaceFileSync } from '@forge/files';
import { z } from 'zod';
import { processMark, type isAlive } from './is-alive';

type IsAlive = typeof isAlive;

/** `runs/<id>/run.json`: how to find a run and its Redis again. */
const runRecordSchema = z.strictObject({
  id: z.string(),
  recipe: z.string(),
  seed: z.number(),
  steps: z.number(),
  startedAt: z.iso.datetime(),
  /** The supervising process; the run is over when it is gone. Null: its services have no supervisor. */
  pid: z.int().nullable(),
  /** Tells that process from a later one with its id (`processMark`); null: not known. */
  pidMark: z.string().nullable().default(null),
  /** Address without user and password. */
  redisUrl: z.string(),
  /** The file with the password of its own Redis, absolute; null: REDIS_URL has what it takes. */
  redisPasswordFile: z.string().nullable().default(null),
  /** Directory where its own Redis keeps its state, absolute; null: in the Redis of REDIS_URL. */
  redisDir: z.string().nullable().default(null),
  /** Time for which its state is kept when it is over. */
  keepStateHours: z.number().default(72),
  state: z.enum(['running', 'finished', 'interrupted', 'failed']),
  message: z.string().optional(),
});

export type RunRecord = z.infer<typeof runRecordSchema>;

/** `<recipe>-<UTC time>-<4 random hex digits>`: sorts by time within a recipe, and two starts never collide. */
export function newRunId(recipe: string, now: Date, suffix: string): string {
  const stamp = now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
  return `${recipe}-${stamp}-${suffix}`;
}

export function createRunDirectory(outputDir: string, record: RunRecord, configYaml: string): string {
  const directory = join(outputDir, record.id);
  const { logs, config } = runPaths(directory);
  mkdirSync(logs, { recursive: true });
  writeFileSync(config, configYaml);
  writeRunRecord(directory, record);
  return directory;
}

/** The recipe with what was changed when the run was resumed. */
export function writeRunConfig(directory: string, recipe: Recipe): void {
  replaceFileSync(runPaths(directory).config, recipeToYaml(recipe));
}

/**
 * Keeps other processes from resuming a run until its record names the one that runs it now; returns what ends that.
 *
 * @throws {ForgeError} CONFLICT_STATE when another process is at it.
 */
export function claimRun(directory: string, isAlive: IsAlive): () => void {
  const path = runPaths(directory).resumeLock;
  const take = (): boolean => {
    try {
      writeFileSync(path, `${process.pid} ${processMark(process.pid) ?? ''}`, { flag: 'wx' });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  };
  if (!take()) {
    const [number, mark] = readFileSync(path, 'utf8').split(' ');
    const pid = Number(number);
    if (pid > 0 && isAlive(pid, mark || null))
      throw new ForgeError('CONFLICT_STATE', `${directory} is being resumed by process ${pid}`, { pid });
    // The process that took it died; of two that find that, one takes it.
    rmSync(path, { force: true });
    if (!take()) throw new ForgeError('CONFLICT_STATE', `${directory} is being resumed by somebody else`);
  }
  return () => rmSync(path, { force: true });
}

export function writeRunRecord(directory: string, record: RunRecord): void {
  replaceFileSync(runPaths(directory).record, `${JSON.stringify(record, null, 2)}\n`);
}

/** Content of a directory that should be that of a run: its record, or why it can't be read. */
export type RunEntry =
  { id: string; record: RunRecord; problem: null } | { id: string; record: null; problem: string };

/**
 * Every readable run under `outputDir`, oldest first. A run is over when its summary says so; one whose supervisor is
 * gone without a word has failed.
 */
export function listRunRecords(outputDir: string, isAlive: IsAlive): RunRecord[] {
  return listRuns(outputDir, isAlive)
    .flatMap(({ record }) => record ?? [])
    .sort((a, b) => a.startedAt.localeCompare(b.startedAt));
}

/** Every run under `outputDir`, by name, also those that another version of Forge wrote and this one can't read. */
export function listRuns(outputDir: string, isAlive: IsAlive): RunEntry[] {
  const names = absentAsSync([], () => readdirSync(outputDir));
  return names.flatMap((name) => readRun(outputDir, name, isAlive) ?? []);
}

/** Content of the directory of that name; null when it is not that of a run. */
export function readRun(outputDir: string, name: string, isAlive: IsAlive): RunEntry | null {
  const directory = join(outputDir, name);
  const path = runPaths(directory).record;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return null;
  }
  try {
    const record = check(runRecordSchema, JSON.parse(text), path);
    return { id: record.id, record: asItIs(directory, record, isAlive), problem: null };
  } catch (error) {
    if (error instanceof SyntaxError)
      return { id: name, record: null, problem: `its run.json is damaged: ${error.message}` };
    if (!(error instanceof ForgeError)) throw error;
    return { id: name, record: null, problem: `another version of Forge wrote it (${error.message})` };
  }
}

function asItIs(directory: string, record: RunRecord, isAlive: IsAlive): RunRecord {
  if (record.state !== 'running') return record;
  if (record.pid === null) return { ...record, state: summaryState(directory) };
  if (isAlive(record.pid, record.pidMark)) return record;
  // A run that died between the summary and the record has said how the run ended.
  const state = summaryState(directory);
  if (state !== 'running') return { ...record, state };
  return { ...record, state: 'failed', message: 'its supervisor ended without a word' };
}

/**
 * The record of one run.
 *
 * @throws {ForgeError} CONFLICT_STATE when there is none.
 */
export function findRunRecord(outputDir: string, id: string, isAlive: IsAlive): RunRecord {
  const record = listRunRecords(outputDir, isAlive).find((candidate) => candidate.id === id);
  if (record !== undefined) return record;
  throw new ForgeError('CONFLICT_STATE', `no run ${id} in ${outputDir}; forge runs lists those there are`, {
    id,
    dir: outputDir,
  });
}

function summaryState(directory: string): RunRecord['state'] {
  const state = readSummary(directory)?.state;
  return state === 'finished' || state === 'failed' ? state : 'running';
}

/** `runs/<id>/summary.json` as the coordinator writes it at the end of a run. */
export function readSummary(directory: string): Record<string, unknown> | null {
  try {
    return JSON.parse(readFileSync(runPaths(directory).summary, 'utf8')) as Record<string, unknown>;
  } catch {
    return null;
  }
}

/** Steps of the checkpoints a run has, newest first, whatever state they are in. */
export function checkpointSteps(directory: string): number[] {
  try {
    return readdirSync(runPaths(directory).checkpoints)
      .flatMap((name) => /^step-(\d+)$/.exec(name)?.slice(1).map(Number) ?? [])
      .sort((a, b) => b - a);
  } catch {
    return [];
  }
}

/** Bytes of the files of a directory, and of those below it; null when there is none. */
export function directoryBytes(directory: string): number | null {
  return absentAsSync(null, () =>
    readdirSync(directory, { recursive: true })
      .map((name) => statSync(join(directory, String(name))))
      .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0),
  );
}
