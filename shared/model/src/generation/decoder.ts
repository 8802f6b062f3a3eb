import type { AnyTensor, Engine, HostTensor, Program, RunOutputs } from '@forge/engine';
import type { Parameters } from '@forge/weights';
import { decodeGraph } from './decode-graph';
import { givenTokens, idleSampling, int64, samplingFeeds, tokenFeeds } from './decode-feeds';
import type { CacheBlock } from '../kv-cache/cache-block';
import { blockParts, HostCaches } from '../kv-cache/host-caches';
import { cacheNames, KvCache, newName } from '../kv-cache/kv-cache';
import { PrefixCache } from '../kv-cache/prefix-cache';
import type { RunningCaches } from '../kv-cache/running-caches';
import type { ModelConfig } from '../transformer/model-config';
import { prefillRuns } from './prefill-runs';
import type { Sequence } from './sequence';
import { weightFeeds, type FrozenBase, type WeightMode } from '../adapter/weight-source';

export interface DecoderOptions {
  engine: Engine;
  config: ModelConfig;
  weightMode: WeightMode;
  /** The model whose adapter is generated with; left out: the parameters are all of it. */
  base?: FrozenBase | undefined;
  /** Bytes of keys and values kept for prompts to come that begin like earlier ones, at most; nothing unless given. */
  prefixCacheBytes?: number | undefined;
  /** Keys and values of the sequences under way, whatever the weights. */
  caches: RunningCaches;
}

/** Results of a chunk of decoding. */
export interface DecodedChunk {
  /** Tokens of each row. */
  trips: number;
  /** Tokens int64 and log-probs: token t of row r lies at t * stride + r. */
  sampled: BigInt64Array;
  logprobs: Float32Array;
  stride: number;
}

/** Tokens of the prompts of an admission, each prompt counted once. */
export interface PrefillCounts {
  /** Tokens whose keys and values were computed. */
  computed: number;
  /** Tokens whose keys and values were there already, or are shared with another prompt of the admission. */
  reused: number;
}

/** A product with fewer rows would use other kernels, and its results would have other bits. */
const MIN_ROWS = 2;

const SAMPLED = ['sampled', 'logprobs'];

/** The model with one version of its weights, as the program that fills caches and samples tokens. */
export class Decoder {
  /** Its own, so that no block outlives the weights it was computed with. */
  private readonly prefixes: PrefixCache;
  /** Prompts are put together from blocks, which lie on the host. */
  private readonly prompts: HostCaches;

  private constructor(
    private readonly options: DecoderOptions,
    readonly version: number,
    private readonly program: Program,
    /** The weights that every run is given; null where the program has its own copy. */
    private readonly parameters: Parameters | null,
  ) {
    this.prefixes = new PrefixCache(options.prefixCacheBytes ?? 0);
    this.prompts = new HostCaches(options.config);
  }

  static async create(options: DecoderOptions, version: number, parameters: Parameters): Promise<Decoder> {
    const { engine, config, weightMode, base, prefixCacheBytes, caches } = options;
    const graph = decodeGraph(config, parameters, weightMode, base);
    const program = await engine.compile(graph, { kept: caches.kept });
    // A program that is never built anew has its own copy of a base.
    const kept = {
      engine,
      config,
      weightMode,
      prefixCacheBytes,
      caches,
      ...(weightMode === 'initializers' && { base }),
    };
    return new Decoder(kept, version, program, weightMode === 'inputs' ? parameters : null);
  }

  /** The same model with other weights: with weights as 'inputs' it shares the program. */
  with(version: number, parameters: Parameters): Promise<Decoder> {
    const { options, program } = this;
    if (options.weightMode === 'initializers') return Decoder.create(options, version, parameters);
    return Promise.resolve(new Decoder(options, version, program, parameters));
  }

  /** Frees the program unless `other` has the same. */
  async releaseUnless(other: Decoder | null): Promise<void> {
    if (other?.program !== this.program) await this.program.release();
  }

  /**
   * Fills the caches of rows with all their tokens but the last, which is the input of the next decoding step. Rows
   * share the blocks that their tokens begin with.
   *
   * Shapes: caches [layers * 2][kvHeads, P, headDim]; P = tokens of the row - 1.
   */
  async prefill(rows: readonly Sequence[]): Promise<PrefillCounts> {
    const chains = this.prefixes.chains(
      rows.map(({ request, tokenIds }) => [...request.promptTokenIds, ...tokenIds].slice(0, -1)),
    );
    const missing = missingBlocks(chains);
    for (let left = missing; left.length > 0; left = left.filter(({ isComputed }) => !isComputed)) {
      const ready = left.filter(({ parent }) => parent?.isComputed ?? true);
      for (const run of prefillRuns(ready, this.options.config.heads)) await this.fill(run);
    }
    rows.forEach((row, at) => (row.cache = new KvCache(chains[at]!)));
    this.prefixes.keep(chains);
    const total = [...new Set(chains)].reduce((sum, last) => sum + (last?.end ?? 0), 0);
    const computed = missing.reduce((sum, { tokens }) => sum + tokens.length, 0);
    return { computed, reused: total - computed };
  }

  /**
   * `trips` tokens for every row, whose cache grows by what went in; `isLast` when no row goes on afterwards: then the caches
   * stay as they are. Rows behind the given ones are copies of the first, up to `minRows`.
   *
   * Shapes: sampled, logprobs [trips, stride].
   */
  async decode(rows: readonly Sequence[], trips: number, isLast: boolean): Promise<DecodedChunk> {
    const { caches } = this.options;
    const missing = Math.max(0, this.minRows() - rows.length);
    const padded = [...rows, ...Array.from({ length: missing }, () => rows[0]!)];
    const cachesOf = (some: readonly Sequence[]): KvCache[] => some.map(({ cache }) => cache!);
    const outputs = await this.run(
      {
        ...(await caches.batch(cachesOf(padded))),
        tokens: tokenFeeds(padded.map(({ lastTokenId }) => [lastTokenId])),
        lengths: int64(padded.map(({ cache }) => cache!.length)),
        ...samplingFeeds(padded, trips),
      },
      [...SAMPLED, ...(isLast ? [] : this.newNames)],
    );
    if (!isLast) caches.append(cachesOf(rows), outputs, trips);
    const { sampled, logprobs } = outputs.host;
    return {
      trips,
      sampled: sampled!.data as BigInt64Array,
      logprobs: logprobs!.data as Float32Array,
      stride: padded.length,
    };
  }

  /**
   * The log-probs of given tokens, each after those before it, as decoding finds them: by the program, the weights and the
   * cache that completions are generated with.
   *
   * Shapes: tokenIds [T] -> [T - 1], without one for the first token.
   */
  async logprobs(tokenIds: readonly number[], temperature: number): Promise<number[]> {
    const rows = this.minRows();
    const none = new KvCache(null);
    const each = <T>(value: T): T[] => Array.from({ length: rows }, () => value);
    const { host } = await this.run(
      {
        ...(await this.prompts.batch(each(none))),
        tokens: tokenFeeds(each([tokenIds[0]!])),
        lengths: int64(each(0)),
        ...givenTokens(rows, tokenIds.slice(1), temperature),
      },
      ['logprobs'],
    );
    const logprobs = host.logprobs!.data as Float32Array;
    return tokenIds.slice(1).map((_, t) => logprobs[t * rows]!);
  }

  /**
   * Computes blocks side by side, padded on the right, each behind its parents.
   *
   * Shapes: tokens int64 [S, W] -> new.keys.L, new.values.L [S, kvHeads, W, headDim]; W = longest of the S blocks, at
   * least `minWidth`.
   */
  private async fill(blocks: readonly CacheBlock[]): Promise<void> {
    const { config } = this.options;
    const width = Math.max(this.minWidth(), ...blocks.map(({ tokens }) => tokens.length));
    const feeds = {
      ...(await this.prompts.batch(blocks.map(({ parent }) => new KvCache(parent)))),
      tokens: tokenFeeds(blocks.map(({ tokens }) => Array.from({ length: width }, (_, t) => tokens[t] ?? 0))),
      lengths: int64(blocks.map(({ start }) => start)),
      ...idleSampling(blocks.length),
    };
    const outputs = await onHost(await this.run(feeds, this.newNames));
    blocks.forEach((block, row) => {
      block.parts = blockParts(outputs, row, block.tokens.length, config);
    });
  }

  private run(feeds: Record<string, AnyTensor>, wanted: readonly string[]): Promise<RunOutputs> {
    const weights = this.parameters === null ? {} : weightFeeds(this.parameters);
    return this.program.run({ ...weights, ...feeds }, { wanted });
  }

  /** The outputs that are keys and values of the tokens that went in. */
  private get newNames(): string[] {
    return cacheNames(this.options.config.layers).map(newName);
  }

  /**
   * The fewest rows that decoding takes: with fewer of a row's key-value heads than threads, onnxruntime would divide one
   * head's attention among threads, and so add in another order.
   */
  private minRows(): number {
    return Math.max(MIN_ROWS, Math.ceil(this.threads / this.options.config.kvHeads));
  }

  /**
   * The fewest tokens of a row that prefill takes, for the same reason: onnxruntime divides a head's attention by queries,
   * which leaves the order of its sums, where these are no fewer than the columns of the values.
   */
  private minWidth(): number {
    const { heads, kvHeads, headDim } = this.options.config;
    return this.threads <= kvHeads
      ? MIN_ROWS
      : Math.max(MIN_ROWS, Math.ceil((headDim + 1) / (heads / kvHeads)));
  }

  private get threads(): number {
    return this.options.engine.options.threads;
  }
}

/** The blocks of chains that have to be computed, each once. */
function missingBlocks(chains: readonly (CacheBlock | null)[]): CacheBlock[] {
  const missing = new Set<CacheBlock>();
  for (const last of chains)
    for (let block = last; block !== null && !block.isComputed; block = block.parent) missing.add(block);
  return [...missing];
}

/** All outputs of a run on the host; none stays on the device. */
async function onHost({ host, kept }: RunOutputs): Promise<Record<string, HostTensor>> {
  const all = { ...host };
  try {
    for (const [name, tensor] of Object.entries(kept)) all[name] = await tensor.read();
  } finally {
    for (const tensor of Object.values(kept)) tensor.dispose();
  }
  return all;
}
