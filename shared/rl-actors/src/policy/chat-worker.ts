import { workerData } from 'node:worker_threads';
import {
  bridgeChat,
  loadModelTokenizer,
  parseAnswer,
  renderChat,
  settledAnswer,
  settledText,
} from '@forge/model';
import type { AnswerToParse, BridgeRequest, GrowingAnswer, GrowingText, RenderRequest } from '@forge/rl';
import { recordSystemMetric, Reduce } from '@forge/telemetry';
import { serveWorker } from '@forge/threads';
import type { WorkerConfig } from './policy-config';

/** Messages to token ids and back, in a thread that does not wait for the one that generates. */
const { model, date } = workerData as Pick<WorkerConfig, 'model' | 'date'>;
const opened = loadModelTokenizer(model, date);
// `open` tells why it failed, be it called only later.
opened.catch(() => undefined);

const api = {
  open: async (): Promise<void> => {
    await opened;
  },
  renderChat: async (request: RenderRequest) => renderChat(await opened, request),
  bridgeChat: async (request: BridgeRequest) => bridgeChat(await opened, request),
  parseAnswer: async (request: AnswerToParse) => {
    const { message, isMalformed } = parseAnswer(await opened, request);
    if (isMalformed) recordSystemMetric('conversation/malformed_calls', 1, Reduce.SUM);
    return message;
  },
  settledText: async (request: GrowingText) => settledText(await opened, request),
  settledAnswer: async (request: GrowingAnswer) => settledAnswer(await opened, request),
};

export type ChatApi = typeof api;

serveWorker(api);
