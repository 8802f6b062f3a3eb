import { workerData } from 'node:worker_threads';
import { serveWorker } from '@forge/threads';
import { engineFor, loadModel, LogprobScorer } from '@forge/model';
import type { ReferenceScore } from '@forge/rl';
import type { ReferenceSettings } from './reference-model';

/** The frozen reference model, in a thread of its own. */
const settings = workerData as ReferenceSettings;
const { model, maxBatchTokens, temperature, logitsChunk, top, topBelow } = settings;
const scorer = loadModel(model).then(async ({ config, parameters }) =>
  LogprobScorer.create({
    engine: await engineFor(settings, 'scoring', config, 'reference'),
    config,
    parameters,
    maxBatchTokens,
    temperature,
    logitsChunk,
    top,
    ...(topBelow !== undefined && { topBelow }),
  }),
);
// `open` tells why it failed, be it called only later.
scorer.catch(() => undefined);

const api = {
  open: async (): Promise<void> => {
    await scorer;
  },
  judge: async (sequences: readonly ArrayLike<number>[]): Promise<ReferenceScore[]> =>
    (await scorer).judge(sequences),
};

export type ReferenceApi = typeof api;

serveWorker(api);
