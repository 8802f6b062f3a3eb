import { setTimeout as sleep } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';
import { namedSecret } from '@forge/config';
import type { WeightsAnnouncement } from '@forge/contracts';
import {
  describeModel,
  loadModel,
  tokenTexts,
  type ChunkMark,
  type Growth,
  type ModelDescription,
} from '@forge/model';
import { serveWorker } from '@forge/threads';
import { timed } from '@forge/telemetry';
import { hashSafetensors } from '@forge/weights';
import { openServer } from '../servers/open-server';
import { ServerGenerator } from '../servers/server-generator';
import { WeightsFolders } from '../servers/weights-folder';
import type {
  Generated,
  GenerateRequest,
  GeneratorApi,
  StreamGrowth,
  TokensToShow,
  WeightsSet,
} from './generator-worker';
import { servedBy, type PolicySettings } from './policy-config';

const settings = workerData as PolicySettings;
const clock = {
  now: () => performance.now(),
  sleep: (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }),
};

/** The generator where a server generates: prompts and texts are of this thread, the weights of the server. */
class ServedGeneration {
  constructor(
    private readonly model: ModelDescription,
    private readonly generator: ServerGenerator,
  ) {}

  static async open({ worker }: PolicySettings): Promise<ServedGeneration> {
    const config = servedBy(worker)!;
    const model = await describeModel(worker.model, worker.date);
    const key =
      config.apiKeyEnv === undefined
        ? null
        : namedSecret(config.apiKeyEnv, `policy.engine.${config.kind}.apiKeyEnv`);
    const server = openServer(config, key, worker.adapter !== undefined);
    const takesWeights = config.kind !== 'openai';
    const { model: name, adapter } = worker;
    const folders = new WeightsFolders(
      { files: model.files, model: name, adapter },
      takesWeights ? config.weightsDirectory : undefined,
    );
    const { tokenizer } = model;
    const generator = new ServerGenerator({
      server,
      rules: {
        maxPositions: model.config.maxPositions,
        endTokenIds: tokenizer.endTokenIds,
        decodeText: (ids, options) => tokenizer.decode(ids, options),
        specialTokens: tokenizer.specialTokens,
      },
      vocabSize: model.config.vocabSize,
      waitMs: config.waitSeconds * 1000,
      update: takesWeights ? config.update : 'drain',
      tolerance: takesWeights ? config.canaryTolerance : 0,
      folderOf: (announcement) => folders.make(announcement),
      clock,
      ownSha256: takesWeights ? null : await ownHash(worker.model),
    });
    return new ServedGeneration(model, generator);
  }

  async applyWeights(announcement: WeightsAnnouncement): Promise<WeightsSet> {
    const fetchedAtMs = Date.now();
    const version = await timed('weights/apply_ms', () => this.generator.applyWeights(announcement));
    return { version, fetchedAtMs, appliedAtMs: Date.now() };
  }

  async generate(
    { prompt, rolloutIds, sampling, isTimed, streamId }: GenerateRequest,
    signal: AbortSignal,
  ): Promise<Generated> {
    const chunks: ChunkMark[] = [];
    const completions = await this.generator.generate({
      promptTokenIds: this.model.tokenizer.renderPrompt(prompt).tokenIds,
      rolloutIds,
      sampling,
      seed: settings.seed,
      signal,
      ...(isTimed && { onChunk: (chunk: ChunkMark) => chunks.push(chunk) }),
      ...(streamId !== null && {
        onGrowth: (growth: Growth) => emit('growth', { streamId, growth } satisfies StreamGrowth),
      }),
    });
    return { completions, chunks };
  }

  tokenTexts({ tokenIds, positions }: TokensToShow): string[] {
    return tokenTexts(this.model.tokenizer, tokenIds, positions);
  }

  stats = () => this.generator.stats();
}

/** Hash of version 0, under which tokens stand of a server that takes no weights. */
async function ownHash(model: string): Promise<string> {
  return hashSafetensors((await loadModel(model)).parameters, { dtype: 'F32' });
}

const generation = ServedGeneration.open(settings);
// `open` tells why it failed, be it called only later.
generation.catch(() => undefined);

const api: GeneratorApi = {
  open: async () => {
    await generation;
  },
  applyWeights: async (announcement) => (await generation).applyWeights(announcement),
  generate: async (request, signal) => (await generation).generate(request, signal),
  // Its weights are at the server; the trainer compares what it trains.
  mismatch: () => Promise.resolve(null),
  tokenTexts: async (tokens) => (await generation).tokenTexts(tokens),
  stats: async () => (await generation).stats(),
};

const { emit } = serveWorker(api);
