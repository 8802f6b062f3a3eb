import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runPaths } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { replay, TrainingRecord, type ReplayedStep } from '@forge/rl-actors';
import { readSummary } from '@forge/runs';
import { createLogUpdate } from 'log-update';

export interface ReplayCommandOptions {
  dir: string;
  json?: boolean;
  /** The version to end at instead of the last one. */
  to?: number;
  /** The base model, where it is not where it was. */
  model?: string;
}

const PLAIN_EVERY_STEPS = 10;
const INTERRUPTED = 130;

/** `forge replay RUN`: trains again what a run has trained; 1 at the first step whose weights are not the same. */
export async function replayRun(id: string, { dir, json, to, model }: ReplayCommandOptions): Promise<number> {
  const directory = join(dir, id);
  if (!existsSync(directory)) {
    throw new ForgeError('CONFLICT_STATE', `no run ${id} in ${dir}; forge runs lists those there are`, {
      id,
      dir,
    });
  }
  const record = await TrainingRecord.open(runPaths(directory).trainingRecord);
  const end = lastVersion(record, directory, to);
  const show = json ? () => undefined : progressOn(process.stdout, end);
  let isInterrupted = false;
  // A second Ctrl-C ends at once.
  process.once('SIGINT', () => (isInterrupted = true));
  let last: ReplayedStep | undefined;
  for await (const step of replay(record, { to: end, ...(model !== undefined && { model }) })) {
    last = step;
    show(step);
    if (isInterrupted || step.weightsHash !== step.recorded) break;
  }
  if (isInterrupted) return INTERRUPTED;
  const { version, weightsHash, recorded } = last!;
  const isEqual = weightsHash === recorded;
  const report = { run: id, steps: version, weightsHash, recorded, isEqual };
  const words = isEqual
    ? `${version} steps replayed, all as recorded\nweights  ${weightsHash}`
    : `step ${version} differs\nweights   ${weightsHash}\nrecorded  ${recorded}`;
  process.stdout.write(`${json ? JSON.stringify(report) : words}\n`);
  return isEqual ? 0 : 1;
}

/**
 * Where a replay ends: at `to`, at the end of a run that is over (a record may hold a step more, which was not
 * committed), or where the record of one that goes on has come to.
 */
function lastVersion(record: TrainingRecord, directory: string, to: number | undefined): number {
  const steps = readSummary(directory)?.['steps'];
  const end = to ?? (typeof steps === 'number' ? steps : record.lastVersion);
  if (Number.isInteger(end) && end >= 0 && end <= record.lastVersion) return end;
  const source = to === undefined ? 'summary.json' : '--to';
  const message = `${source} asks for step ${end}, the record ends at step ${record.lastVersion}`;
  throw new ForgeError('CONFIG_INVALID', message, { to: end, lastVersion: record.lastVersion });
}

/** Shows the progress: redrawn in place on a terminal, a line now and then elsewhere. */
function progressOn(output: NodeJS.WriteStream, end: number): (step: ReplayedStep) => void {
  const live = createLogUpdate(output);
  return ({ version, weightsHash, recorded }) => {
    const line = `step ${version}/${end}  ${weightsHash.slice(0, 16)}`;
    const isLast = version === end || weightsHash !== recorded;
    if (output.isTTY) live(line);
    else if (isLast || version % PLAIN_EVERY_STEPS === 0) output.write(`${line}\n`);
    if (output.isTTY && isLast) live.done();
  };
}
