import { workerData } from 'node:worker_threads';
import { ForgeError, type WireError } from '@forge/errors';
import { ConversationScorer, engineFor, loadModel, type Conversation } from '@forge/model';
import { serveWorker } from '@forge/threads';
import type { ModelRewardSettings } from './model-reward';

/** Result of a conversation: its score, or why it has none. */
export type ModelScore = { score: number } | { error: WireError };

/** A reward model, in a thread of its own. */
const settings = workerData as ModelRewardSettings;
const scorer = loadModel(settings.model, { date: settings.date, head: 'score' }).then(async (model) =>
  ConversationScorer.create({
    engine: await engineFor(settings, 'scoring', model.config, 'the reward model'),
    model,
    maxBatchTokens: settings.maxBatchTokens,
    maxTokens: settings.maxTokens,
    truncation: settings.truncation,
  }),
);
// `open` tells why it failed, be it called only later.
scorer.catch(() => undefined);

const api = {
  open: async (): Promise<void> => {
    await scorer;
  },
  score: async (conversations: readonly Conversation[]): Promise<ModelScore[]> =>
    (await (await scorer).score(conversations)).map((result) =>
      result instanceof ForgeError ? { error: result.toWire() } : { score: result },
    ),
};

export type ModelRewardApi = typeof api;

serveWorker(api);
