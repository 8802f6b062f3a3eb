import { join } from 'node:path';
import { runPaths } from '@forge/contracts';
import { findLine, isAlive, listRuns, newestLines, readRun, readSummary, type RunRecord } from '@forge/runs';
import type { MetricsRow, RunListing } from '../api';
import { metricsRow, runListing } from '../domain/run-listing';
import { HttpProblem, notFound } from './http-problem';

/** Ids as `newRunId` makes them, or people choose them; no path. */
const RUN_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** The first evaluation is told early, if at all. */
const HEAD_BYTES = 2 ** 18;

/** A run that can be shown. */
export interface FoundRun {
  id: string;
  directory: string;
  record: RunRecord;
}

/** The runs in an output directory. */
export class RunCatalog {
  constructor(private readonly runsDir: string) {}

  /**
   * The run of that name.
   *
   * @throws {HttpProblem} 404 when there is no such run, 422 when it can't be read.
   */
  find(id: string): FoundRun {
    const entry = RUN_ID.test(id) ? readRun(this.runsDir, id, isAlive) : null;
    if (entry === null) throw notFound(`there is no run ${id} in ${this.runsDir}`);
    if (entry.record === null) throw new HttpProblem(422, 'CONTRACT_INVALID_MESSAGE', entry.problem);
    return { id, directory: join(this.runsDir, id), record: entry.record };
  }

  /** All of them, newest first. */
  async listings(): Promise<RunListing[]> {
    const listings: RunListing[] = [];
    for (const entry of listRuns(this.runsDir, isAlive))
      listings.push(await listingOf(join(this.runsDir, entry.id), entry));
    return listings.sort((a, b) => b.startedAt.localeCompare(a.startedAt) || a.id.localeCompare(b.id));
  }
}

/** How a run stands in the list. */
export async function listingOf(
  directory: string,
  entry: Parameters<typeof runListing>[0],
): Promise<RunListing> {
  const path = runPaths(directory).metrics;
  const [newest] = await newestLines(path, 1);
  const first = await findLine(path, isEvaluated, HEAD_BYTES);
  return runListing(entry, { summary: readSummary(directory), first, newest: metricsRow(newest) });
}

function isEvaluated(line: unknown): line is MetricsRow {
  return metricsRow(line)?.['eval/accuracy'] !== undefined;
}
