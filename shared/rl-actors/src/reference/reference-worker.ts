import { workerData } from 'node:worker_threads';
import { serveWorker } from '@forge/threads';
import { loadModel, LogprobScorer, provenEngine } from '@forge/model';
import type { ReferenceSettings } from './reference-model';

/** The frozen reference model, in a thread of its own. */
const { model, threads, device, ...rest } = workerData as ReferenceSettings;
const scorer = loadModel(model).then(async ({ config, parameters }) =>
  LogprobScorer.create({
    engine: await provenEngine({ threads, device }),
    config,
    parameters,
    ...rest,
  }),
);
// `open` tells why it failed, be it called only later.
scorer.catch(() => undefined);

const api = {
  open: async (): Promise<void> => {
    await scorer;
  },
  score: async (sequences: readonly ArrayLike<number>[]): Promise<number[][]> =>
    (await scorer).score(sequences),
};

export type ReferenceApi = typeof api;

serveWorker(api);
