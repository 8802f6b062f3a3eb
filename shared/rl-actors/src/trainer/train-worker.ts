import { workerData } from 'node:worker_threads';
import { check, type Batch } from '@forge/contracts';
import { serveWorker } from '@forge/threads';
import { timed } from '@forge/telemetry';
import { z } from 'zod';
import type { RunPosition } from '../checkpoint/checkpoint';
import { trainingEpisodeSchema, type TrainingEpisode } from '../training-episode';
import { microBatchTeller } from './micro-batches';
import type { ResumePoint, TrainerSettings } from './trainer-config';
import { Training } from './training';

interface PipelineBatch {
  batch: Batch;
  payloads: readonly Uint8Array[];
  maxStaleness: number;
}

interface TakeOver {
  epoch: number;
  from: ResumePoint | undefined;
}

const episodesSchema = z.array(trainingEpisodeSchema).min(1);

const settings = workerData as TrainerSettings;
const tell = microBatchTeller(settings.dir);
let training = Training.open(settings, tell);
// `open` tells why it failed, be it called only later.
training.catch(() => undefined);

const api = {
  open: async (): Promise<void> => {
    await training;
  },
  version: async () => (await training).version,
  trainStep: async (episodes: readonly TrainingEpisode[]) =>
    (await training).trainStep(check(episodesSchema, episodes, 'train step')),
  trainBatch: async ({ batch, payloads, maxStaleness }: PipelineBatch) =>
    (await training).trainBatch(batch, payloads, maxStaleness),
  publish: (inUse: readonly number[]) =>
    timed('weights/publish_ms', async () => (await training).publish(inUse)),
  rollBack: async ({ to, sha256 }: { to: number; sha256: string | null }) =>
    (await training).rollBack(to, sha256),
  save: async (dir: string) => (await training).save(dir),
  checkpoint: async (run: RunPosition | null) => (await training).checkpoint(run),
  takeOver: async ({ epoch, from }: TakeOver) => (await training).takeOver(epoch, from),
  /** The training under way goes on when there is nothing to resume. */
  resume: async (resumeFrom: ResumePoint): Promise<number> => {
    const resumed = await Training.open({ ...settings, resumeFrom }, tell);
    await (await training).close();
    training = Promise.resolve(resumed);
    return resumed.version;
  },
};

export type TrainApi = typeof api;

serveWorker(api);
