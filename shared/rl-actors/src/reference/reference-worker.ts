import { workerData } from 'node:worker_threads';
import { serveWorker } from '@forge/threads';
import { engineFor, loadModel, LogprobScorer } from '@forge/model';
import type { ReferenceSettings } from './reference-model';

/** The frozen reference model, in a thread of its own. */
const settings = workerData as ReferenceSettings;
const { model, maxBatchTokens, temperature, logitsChunk } = settings;
const scorer = loadModel(model).then(async ({ config, parameters }) =>
  LogprobScorer.create({
    engine: await engineFor(settings, 'scoring', config, 'reference'),
    config,
    parameters,
    maxBatchTokens,
    temperature,
    logitsChunk,
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
