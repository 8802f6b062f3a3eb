import type { Engine, HostTensor, Program } from '@forge/engine';
import type { Parameters } from '@forge/weights';
import { decodeGraph } from './decode-graph';
import { givenTokens, idleSampling, int64, samplingFeeds, tokenFeeds } from './decode-feeds';
import { cacheNames, emptyPromptCache, KvCache, promptCache, type PromptCache } from './kv-cache';
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
}

/** Results of a chunk of decoding. */
export interface DecodedChunk {
  /** Tokens of each row. */
  trips: number;
  /** Tokens int64 and log-probs: token t of row r lies at t * stride + r. */
  sampled: BigInt64Array;
  logprobs: Float32Array;
  stride: number;
  /** Keys and values of the tokens that went in; none of a chunk that nothing follows. */
  outputs: Readonly<Record<string, HostTensor>>;
}

/** Tokens [P] whose keys and values some rows want. */
interface Prefilling {
  tokens: readonly number[];
  rows: Sequence[];
}

/** A product with fewer rows would use other kernels, and its results would have other bits. */
const MIN_ROWS = 2;

const SAMPLED = ['sampled', 'logprobs'];

/** The model with one version of its weights, as the program that fills caches and samples tokens. */
export class Decoder {
  private constructor(
    private readonly options: DecoderOptions,
    readonly version: number,
    private readonly program: Program,
    /** The weights that every run is given; null where the program has its own copy. */
    private readonly parameters: Parameters | null,
  ) {}

  static async create(options: DecoderOptions, version: number, parameters: Parameters): Promise<Decoder> {
    const { engine, config, weightMode, base } = options;
    const program = await engine.compile(decodeGraph(config, parameters, weightMode, base));
    // A program that is never built anew has its own copy of a base.
    const kept = { engine, config, weightMode, ...(weightMode === 'initializers' && { base }) };
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
   * with the same tokens share the work.
   *
   * Shapes: caches [layers * 2][kvHeads, P, headDim]; P = tokens of the row - 1.
   */
  async prefill(rows: readonly Sequence[]): Promise<void> {
    const { config } = this.options;
    const distinct = new Map<string, Prefilling>();
    for (const row of rows) {
      const tokens = [...row.request.promptTokenIds, ...row.tokenIds].slice(0, -1);
      const key = tokens.join();
      const known = distinct.get(key);
      if (known) known.rows.push(row);
      else distinct.set(key, { tokens, rows: [row] });
    }
    const give = (prefilling: Prefilling, cache: PromptCache): void => {
      for (const row of prefilling.rows) row.cache = new KvCache(cache);
    };
    const sequences = [...distinct.values()];
    for (const sequence of sequences)
      if (sequence.tokens.length === 0) give(sequence, emptyPromptCache(config));
    for (const run of prefillRuns(
      sequences.filter(({ tokens }) => tokens.length > 0),
      config.heads,
    )) {
      const outputs = await this.runPrefill(run);
      run.forEach((sequence, row) =>
        give(sequence, promptCache(outputs, row, sequence.tokens.length, config)),
      );
    }
  }

  /**
   * `trips` tokens for every row, which has a cache; `isLast` when no row goes on afterwards. Rows behind the given ones
   * are copies of the first, up to `minRows`.
   *
   * Shapes: sampled, logprobs [trips, stride].
   */
  async decode(rows: readonly Sequence[], trips: number, isLast: boolean): Promise<DecodedChunk> {
    const missing = Math.max(0, this.minRows() - rows.length);
    const padded = [...rows, ...Array.from({ length: missing }, () => rows[0]!)];
    const outputs = await this.run(
      {
        ...KvCache.batch(
          padded.map(({ cache }) => cache!),
          this.options.config,
        ),
        tokens: tokenFeeds(padded.map(({ lastTokenId }) => [lastTokenId])),
        lengths: int64(padded.map(({ cache }) => cache!.length)),
        ...samplingFeeds(padded, trips),
      },
      [...SAMPLED, ...(isLast ? [] : this.newNames)],
    );
    return {
      trips,
      sampled: outputs.sampled!.data as BigInt64Array,
      logprobs: outputs.logprobs!.data as Float32Array,
      stride: padded.length,
      outputs,
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
    const none = new KvCache(emptyPromptCache(this.options.config));
    const each = <T>(value: T): T[] => Array.from({ length: rows }, () => value);
    const outputs = await this.run(
      {
        ...KvCache.batch(each(none), this.options.config),
        tokens: tokenFeeds(each([tokenIds[0]!])),
        lengths: int64(each(0)),
        ...givenTokens(rows, tokenIds.slice(1), temperature),
      },
      ['logprobs'],
    );
    const logprobs = outputs.logprobs!.data as Float32Array;
    return tokenIds.slice(1).map((_, t) => logprobs[t * rows]!);
  }

  /**
   * The keys and values of sequences side by side, padded on the right, after no cache at all.
   *
   * Shapes: tokens int64 [S, W] -> new.keys.L, new.values.L [S, kvHeads, W, headDim]; W = longest of the S sequences, at
   * least 2.
   */
  private runPrefill(sequences: readonly Prefilling[]): Promise<Record<string, HostTensor>> {
    const width = Math.max(MIN_ROWS, ...sequences.map(({ tokens }) => tokens.length));
    const rows = sequences.map(({ tokens }) => Array.from({ length: width }, (_, t) => tokens[t] ?? 0));
    const none = new KvCache(emptyPromptCache(this.options.config));
    const feeds = {
      ...KvCache.batch(
        rows.map(() => none),
        this.options.config,
      ),
      tokens: tokenFeeds(rows),
      lengths: int64(rows.map(() => 0)),
      ...idleSampling(rows.length),
    };
    return this.run(feeds, this.newNames);
  }

  private async run(
    feeds: Record<string, HostTensor>,
    wanted: readonly string[],
  ): Promise<Record<string, HostTensor>> {
    const weights = this.parameters === null ? {} : weightFeeds(this.parameters);
    return (await this.program.run({ ...weights, ...feeds }, { wanted })).host;
  }

  /** The outputs that are keys and values of the tokens that went in. */
  private get newNames(): string[] {
    return cacheNames(this.options.config.layers).map((name) => `new.${name}`);
  }

  /**
   * The fewest rows that decoding takes: with fewer of a row's key-value heads than threads, onnxruntime would divide one
   * head's attention among threads, and so add in another order.
   */
  private minRows(): number {
    const { engine, config } = this.options;
    return Math.max(MIN_ROWS, Math.ceil(engine.options.threads / config.kvHeads));
  }
}
