import { workerData } from 'node:worker_threads';
import {
  versionsOf,
  type Completion,
  type Episode,
  type Sampling,
  type WeightHashes,
  type WeightsAnnouncement,
  type Prompt,
} from '@forge/contracts';
import type { Engine } from '@forge/engine';
import { serveWorker } from '@forge/threads';
import {
  engineFor,
  Generator,
  initializeAdapter,
  loadModel,
  LogprobScorer,
  tokenTexts,
  type ChunkMark,
  type FrozenBase,
  type GeneratorStats,
  type Growth,
  type LoadedModel,
  type WeightMode,
} from '@forge/model';
import { hashSafetensors, parametersHash, readVersion, type Parameters } from '@forge/weights';
import { recordSystemMetric, Reduce, timed } from '@forge/telemetry';
import { collectGarbage } from './collect-garbage';
import { logprobMismatch, soleVersion } from './logprob-mismatch';
import { RecentWeights } from './recent-weights';
import { ownEngine, type PolicySettings } from './policy-config';

/** Below this size, swapping sessions for new weights costs more than passing the weights in at every run. */
const INPUT_PARAMETERS = 4_000_000;
const MIB = 2 ** 20;

export interface GenerateRequest {
  prompt: Prompt;
  /** One per wanted completion; with the seed they decide what is drawn. */
  rolloutIds: readonly string[];
  sampling: Sampling;
  /** Whether to tell when each chunk of tokens was done. */
  isTimed: boolean;
  /** Under which the growth of the completions is told while they are generated; null: it is not. */
  streamId: number | null;
}

/** Event of the worker: a completion has grown. */
export interface StreamGrowth {
  streamId: number;
  growth: Growth;
}

export interface Generated {
  completions: Completion[];
  chunks: ChunkMark[];
}

/** Version that counts from now on, and when its weights were there, and when they were in use. */
export interface WeightsSet {
  version: number;
  /** Milliseconds since the epoch. */
  fetchedAtMs: number;
  appliedAtMs: number;
}

export interface TokensToShow {
  tokenIds: readonly number[];
  positions: readonly number[];
}

/** Newest versions whose hashes are known: far more than take part in the work under way. */
const KNOWN_HASHES = 10_000;

const settings = workerData as PolicySettings;

/** The generator, in a thread of its own: it blocks while it computes. */
class Generation {
  private generator: Promise<Generator> | null = null;
  private readonly recent = new RecentWeights();
  /** Weights of version 0, until there is a generator. */
  private initial: Parameters | null;
  /** The model that adapters are taken up beside, until there is a generator. */
  private base: FrozenBase | null = null;
  /** Whether garbage is worth looking for. */
  private readonly isLarge: boolean;
  private scorer: Promise<LogprobScorer> | null = null;
  /** The changes of weights so far, and the checks, none of which holds a copy of the weights while another does. */
  private applying: Promise<unknown> = Promise.resolve();
  private checking: Promise<unknown> = Promise.resolve();
  /** By version. */
  private readonly hashes = new Map<number, string>();

  constructor(
    private readonly engine: Engine,
    private readonly model: Pick<LoadedModel, 'config' | 'tokenizer'>,
    parameters: Parameters,
    private readonly readModel: () => Promise<Parameters>,
  ) {
    const { adapter } = settings.worker;
    this.isLarge = !this.recent.isSmall(parameters);
    if (adapter === undefined) {
      this.initial = parameters;
      this.recent.add(0, parameters, this.readerOf(parameters, readModel));
      return;
    }
    const fresh = initializeAdapter(model.config, adapter);
    this.base = { parameters, adapter };
    this.initial = fresh;
    this.recent.add(0, fresh, () => Promise.resolve(fresh));
  }

  /** Takes the announced weights, which are used from the next chunk on; the version that is current then. */
  applyWeights(announcement: WeightsAnnouncement): Promise<WeightsSet> {
    const applied = this.checking.then(() => this.readAndApply(announcement)).finally(() => this.collect());
    this.applying = Promise.allSettled([this.applying, applied]).then(() => undefined);
    return applied;
  }

  private async readAndApply(announcement: WeightsAnnouncement): Promise<WeightsSet> {
    const { version, sha256 } = announcement;
    this.recent.makeRoom();
    const parameters = await timed('weights/fetch_ms', () => readVersion(announcement));
    const fetchedAtMs = Date.now();
    this.recent.add(version, parameters, this.readerOf(parameters, readerOfVersion(announcement)));
    this.hashes.set(version, sha256);
    for (const old of [...this.hashes.keys()].slice(0, -KNOWN_HASHES)) this.hashes.delete(old);
    const current = await timed('weights/apply_ms', () => this.apply(announcement, parameters));
    return { version: current, fetchedAtMs, appliedAtMs: Date.now() };
  }

  private async apply({ version, canary }: WeightsAnnouncement, parameters: Parameters): Promise<number> {
    if (this.generator === null && settings.worker.adapter === undefined) {
      this.generator = this.create(version, parameters);
    } else {
      // An adapter has to prove itself first, beside one in use.
      this.generator ??= this.createFirst();
      await (await this.generator).applyWeights(version, parameters, canary);
    }
    return (await this.generator).version;
  }

  async generate(request: GenerateRequest, signal: AbortSignal): Promise<Generated> {
    const { rolloutIds, sampling, isTimed, streamId } = request;
    const { tokenIds } = this.model.tokenizer.renderPrompt(request.prompt);
    // Until weights are announced, the model's own count.
    const generator = await (this.generator ??= this.createFirst());
    const chunks: ChunkMark[] = [];
    const completions = await generator.generate({
      promptTokenIds: tokenIds,
      rolloutIds,
      sampling,
      seed: settings.seed,
      signal,
      ...(isTimed && { onChunk: (chunk: ChunkMark) => chunks.push(chunk) }),
      ...(streamId !== null && {
        onGrowth: (growth: Growth) => emit('growth', { streamId, growth } satisfies StreamGrowth),
      }),
    });
    const hashed = completions.map((completion) => ({
      ...completion,
      weightHashes: this.hashesOf(completion),
    }));
    return { completions: hashed, chunks };
  }

  private hashesOf(completion: Completion): WeightHashes {
    return Object.fromEntries(
      versionsOf([completion]).map((version) => [version, this.hashes.get(version)!]),
    );
  }

  mismatch(episode: Episode): Promise<number | null> {
    const checked = Promise.allSettled([this.applying, this.checking])
      .then(() => this.check(episode))
      .finally(() => this.collect());
    this.checking = checked.catch(() => undefined);
    return checked;
  }

  private async check(episode: Episode): Promise<number | null> {
    const parameters = await this.recent.get(soleVersion(episode) ?? -1);
    if (parameters === null) return null;
    this.scorer ??= this.createScorer(parameters);
    const [scored] = await (await this.scorer).score([episode.tokenIds], parameters);
    return logprobMismatch(episode, scored!);
  }

  async stats(): Promise<GeneratorStats> {
    const nothing = { version: 0, tokens: 0, busyMs: 0, activeRows: 0, queuedRows: 0 };
    return this.generator === null ? nothing : (await this.generator).stats();
  }

  tokenTexts({ tokenIds, positions }: TokensToShow): string[] {
    return tokenTexts(this.model.tokenizer, tokenIds, positions);
  }

  private createFirst(): Promise<Generator> {
    const parameters = this.initial!;
    const metadata = this.base === null ? undefined : { base: parametersHash(this.base.parameters) };
    this.hashes.set(0, hashSafetensors(parameters, { dtype: 'F32', metadata }));
    return this.create(0, parameters);
  }

  private create(version: number, parameters: Parameters): Promise<Generator> {
    const base = this.base ?? undefined;
    this.initial = null;
    this.base = null;
    // The model's own weights, where others are announced before any are used.
    if (this.isLarge) collectGarbage();
    const { config, tokenizer } = this.model;
    const { maxBatch, chunk, prefixCacheMb, refreshCache } = settings.worker;
    return Generator.create({
      engine: this.engine,
      config,
      parameters,
      base,
      version,
      endTokenIds: tokenizer.endTokenIds,
      maxBatch,
      chunk,
      weightMode: weightModeOf(parameters),
      refreshCache,
      prefixCacheBytes: prefixCacheMb * MIB,
      onPrefilled: ({ computed, reused }) => {
        recordSystemMetric('tokens/prefilled', computed, Reduce.SUM);
        recordSystemMetric('tokens/reused', reused, Reduce.SUM);
      },
      onReplaced: () => this.collect(),
      decodeText: (ids, options) => tokenizer.decode(ids, options),
      specialTokens: tokenizer.specialTokens,
    });
  }

  /** Weights that are inputs are in memory as long as they are used, so that none are read for a check. */
  private readerOf(
    parameters: Parameters,
    read: () => Promise<Parameters>,
  ): (() => Promise<Parameters>) | null {
    return weightModeOf(parameters) === 'inputs' ? null : read;
  }

  /** Frees large weights that are in no use any more, once the caller has returned. */
  private collect(): void {
    if (this.isLarge) setImmediate(collectGarbage);
  }

  /** The training graph's forward pass, which takes the weights of any version. */
  private async createScorer(parameters: Parameters): Promise<LogprobScorer> {
    const { scoring, adapter } = settings.worker;
    return LogprobScorer.create({
      base: adapter && { parameters: await this.readModel(), adapter },
      engine: this.engine,
      config: this.model.config,
      parameters,
      weightMode: 'inputs',
      temperature: settings.sampling.temperature || 1,
      ...scoring,
    });
  }
}

/** A function that refers to nothing else: one made where parameters are in reach would keep them in memory. */
function readerOfVersion(announcement: WeightsAnnouncement): () => Promise<Parameters> {
  return () => readVersion(announcement);
}

/** Home of the weights of the program that generates. */
function weightModeOf(parameters: Parameters): WeightMode {
  const { threads, weights, adapter } = settings.worker;
  if (weights !== 'auto') return weights;
  const size = [...parameters.values()].reduce((sum, { data }) => sum + data.length, 0);
  const isSmall = adapter !== undefined || size < INPUT_PARAMETERS;
  return isSmall && threads === 1 ? 'inputs' : 'initializers';
}

async function open(worker: PolicySettings['worker']): Promise<Generation> {
  const load = (): Promise<LoadedModel> => loadModel(worker.model, { date: worker.date });
  const { config, tokenizer, parameters } = await load();
  const engine = await engineFor(ownEngine(worker), 'generation', config, 'worker');
  return new Generation(engine, { config, tokenizer }, parameters, async () => (await load()).parameters);
}

const generation = open(settings.worker);
// `open` tells why it failed, be it called only later.
generation.catch(() => undefined);

const api = {
  open: async (): Promise<void> => {
    await generation;
  },
  applyWeights: async (announcement: WeightsAnnouncement) => (await generation).applyWeights(announcement),
  generate: async (request: GenerateRequest, signal: AbortSignal) =>
    (await generation).generate(request, signal),
  mismatch: async (episode: Episode) => (await generation).mismatch(episode),
  tokenTexts: async (tokens: TokensToShow) => (await generation).tokenTexts(tokens),
  stats: async () => (await generation).stats(),
};

export type GeneratorApi = typeof api;

const { emit } = serveWorker(api);
