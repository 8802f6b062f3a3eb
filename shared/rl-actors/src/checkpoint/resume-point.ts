import type { WeightsAnnouncement } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { OptimizerStore } from './optimizer-store';
import type { ResumePoint } from '../trainer/trainer-config';
import { readCheckpoint, type Checkpoint } from './checkpoint';
import { Checkpoints } from './checkpoints';
import { checkSeal } from './seal';

export interface ResumeOptions {
  runId: string;
  /** Directory of the run. */
  dir: string;
  /** Steps that are committed. */
  version: number;
  /** The last announcement, if there was one. */
  announcement: WeightsAnnouncement | null;
}

/** Where a trainer goes on, and why not at what was published last, if that is so. */
export interface Found {
  /** Null: at version 0, with the model the run starts from. */
  from: ResumePoint | null;
  note: string | null;
}

/**
 * Where the trainer of a run goes on after `version` steps: with the weights and moments that were published, verified,
 * else with a checkpoint of the very same step, which has the same bits.
 *
 * A step that is committed can't be taken back while others work with the run, so an older checkpoint is not an answer
 * here.
 *
 * @throws {ForgeError} CONTRACT_WEIGHTS_CORRUPT when there is neither, naming the reasons and how to go back.
 */
export async function findResumePoint({ runId, dir, version, announcement }: ResumeOptions): Promise<Found> {
  if (version === 0) return { from: null, note: null };
  const why: string[] = [];
  try {
    return { from: await verifiedPublication(version, announcement), note: null };
  } catch (error) {
    why.push(reasonOf(error));
  }
  const checkpoints = new Checkpoints(dir);
  try {
    checkRun(await readCheckpoint(checkpoints.path(version)), runId, checkpoints.path(version));
    const note = `${why[0]}; going on from ${checkpoints.path(version)}, which is of the same step`;
    return { from: checkpoints.path(version), note };
  } catch (error) {
    why.push(reasonOf(error));
  }
  const { checkpoint } = await checkpoints.newestGood((one, path) => checkRun(one, runId, path));
  const wayOut =
    checkpoint === null
      ? 'there is no good checkpoint either: start a new run'
      : `forge resume ${runId} --from ${checkpoint.step} goes back to the newest good checkpoint`;
  throw new ForgeError(
    'CONTRACT_WEIGHTS_CORRUPT',
    `step ${version} of run ${runId} is committed, but can't be read (${why.join('; ')}); ${wayOut}`,
    { runId, version, checkpoint: checkpoint?.step ?? null },
  );
}

/** @throws {ForgeError} CONFLICT_STATE when the checkpoint in `dir` is of another run. */
export function checkRun({ run }: Checkpoint, runId: string, dir: string): void {
  if (run?.id === runId) return;
  const whose = run === null ? 'of no run' : `of run ${run.id}`;
  throw new ForgeError('CONFLICT_STATE', `${dir}: a checkpoint ${whose}, expected run ${runId}`, {
    dir,
    runId,
    found: run?.id ?? null,
  });
}

async function verifiedPublication(
  version: number,
  announcement: WeightsAnnouncement | null,
): Promise<WeightsAnnouncement> {
  if (announcement === null || announcement.version !== version) {
    const found = announcement === null ? 'nothing' : `version ${announcement.version}`;
    throw new ForgeError('STALE_WEIGHTS', `${found} was announced, expected version ${version}`);
  }
  const { path, epoch } = announcement;
  await checkSeal(path, announcement);
  await OptimizerStore.beside(path).verify(version, epoch);
  return announcement;
}

/** Fault of files or their owner; any other error is not for a fallback to hide. */
function reasonOf(error: unknown): string {
  if (!(error instanceof ForgeError)) throw error;
  return error.message;
}
