import { setImmediate } from 'node:timers/promises';
import type { Completion, Sampling } from '@forge/contracts';
import type { Engine, HostTensor, Session } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import type { Parameters } from '@forge/weights';
import { decodeModel, prefillModel, type WeightMode } from './decode-graph';
import { KvCache } from './kv-cache';
import type { ModelConfig } from './model-config';
import { rolloutKey, uniformAt, type RolloutKey } from './uniform';

export interface GeneratorOptions {
  engine: Engine;
  config: ModelConfig;
  parameters: Parameters;
  /** Policy version of `parameters`. */
  version: number;
  endTokenIds: readonly number[];
  /** Sequences decoded together at most. */
  maxBatch: number;
  /** Tokens decoded per engine run at most; finished rows leave and new weights take effect in between. */
  chunk: number;
  weights: WeightMode;
  /** Compute the cache of running sequences again when new weights take effect, instead of keeping the old one. */
  refreshCache?: boolean;
  /** Text of generated tokens, end tokens left out. */
  decodeText: (tokenIds: readonly number[]) => string;
  /** Milliseconds, for the busy share. */
  clock?: () => number;
}

export interface GenerateRequest {
  promptTokenIds: readonly number[];
  /** One rollout id per wanted completion; with the seed it decides the random numbers. */
  rolloutIds: readonly string[];
  seed: number;
  sampling: Sampling;
  signal?: AbortSignal;
}

export interface GeneratorStats {
  version: number;
  /** Generated since the start. */
  tokens: number;
  busyMs: number;
  activeRows: number;
  queuedRows: number;
}

/** A sequence that is being generated. */
interface Row {
  readonly request: GenerateRequest;
  readonly key: RolloutKey;
  readonly tokenIds: number[];
  readonly logprobs: number[];
  readonly versions: number[];
  cache: KvCache | null;
  finish(completion: Completion): void;
  fail(error: ForgeError): void;
}

interface Weights {
  version: number;
  parameters: Parameters;
  feeds: Record<string, HostTensor>;
  sessions: Map<'prefill' | 'plain' | 'filtering', Session>;
}

/** A session on fewer rows would use other kernels, and its results other bits. */
const MIN_ROWS = 2;

/**
 * Generates with continuous batching: between two chunks, finished sequences leave, waiting ones join, and new weights
 * take effect. What a rollout gives depends on the weights, the seed, its id and its prompt only, to the bit, and not
 * on what it is batched with.
 */
export class Generator {
  private readonly waiting: Row[] = [];
  private active: Row[] = [];
  private current: Weights;
  private next: Weights | null = null;
  private running: Promise<void> | null = null;
  private isClosed = false;
  private tokens = 0;
  private busyMs = 0;

  private constructor(private readonly options: GeneratorOptions) {
    this.current = weightsOf(options.version, options.parameters, options.weights);
  }

  static async create(options: GeneratorOptions): Promise<Generator> {
    const generator = new Generator(options);
    await Promise.all((['prefill', 'plain'] as const).map((kind) => generator.session(generator.current, kind)));
    return generator;
  }

  /** Version of the weights that the next chunk uses. */
  get version(): number {
    return (this.next ?? this.current).version;
  }

  stats(): GeneratorStats {
    return {
      version: this.version,
      tokens: this.tokens,
      busyMs: this.busyMs,
      activeRows: this.active.length,
      queuedRows: this.waiting.length,
    };
  }

  /**
   * One completion per rollout id; they share the work on the prompt.
   *
   * @throws {ForgeError} CAPACITY_PROMPT_TOO_LONG when the prompt leaves no position to generate; CANCELLED when the
   *   signal fires or the generator closes.
   */
  generate(request: GenerateRequest): Promise<Completion[]> {
    const { promptTokenIds, rolloutIds, seed, signal } = request;
    const { maxPositions, vocabSize } = this.options.config;
    if (this.isClosed) return Promise.reject(cancelled());
    if (promptTokenIds.length === 0 || promptTokenIds.length >= maxPositions) {
      const found = `a prompt of ${promptTokenIds.length} tokens`;
      const message = `${found}; the model takes 1 to ${maxPositions - 1} and generates at least one more`;
      return Promise.reject(new ForgeError('CAPACITY_PROMPT_TOO_LONG', message, { tokens: promptTokenIds.length, maxPositions }));
    }
    if (promptTokenIds.some((id) => id >= vocabSize)) {
      return Promise.reject(new ForgeError('SHAPE_MISMATCH', `the prompt has a token id beyond the vocabulary of ${vocabSize}`));
    }
    const completions = rolloutIds.map(
      (id) =>
        new Promise<Completion>((finish, fail) => {
          const row = { request, key: rolloutKey(seed, id), tokenIds: [], logprobs: [], versions: [], cache: null };
          this.waiting.push({ ...row, finish, fail });
        }),
    );
    signal?.addEventListener('abort', () => this.cancel(request), { once: true });
    if (signal?.aborted) this.cancel(request);
    this.running ??= this.run().finally(() => (this.running = null));
    return Promise.all(completions);
  }

  /** New weights, which take effect at the next chunk. Sequences under way go on with the cache they have. */
  async setWeights(version: number, parameters: Parameters): Promise<void> {
    const { weights } = this.options;
    const fresh = weightsOf(version, parameters, weights);
    if (weights === 'inputs') fresh.sessions = this.current.sessions;
    else await Promise.all([...this.current.sessions.keys()].map((kind) => this.session(fresh, kind)));
    await this.dropNext();
    this.next = fresh;
    if (this.running === null) await this.applyWeights();
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const row of [...this.waiting.splice(0), ...this.active.splice(0)]) row.fail(cancelled());
    await this.running;
    await this.dropNext();
    await release(this.current);
  }

  private cancel(request: GenerateRequest): void {
    const isOther = (row: Row): boolean => row.request !== request;
    for (const row of [...this.waiting, ...this.active]) if (!isOther(row)) row.fail(cancelled());
    this.waiting.splice(0, this.waiting.length, ...this.waiting.filter(isOther));
    this.active = this.active.filter(isOther);
  }

  private async run(): Promise<void> {
    const clock = this.options.clock ?? (() => performance.now());
    // Whatever else is asked for in this turn of the event loop joins the first chunk.
    await setImmediate();
    while (this.waiting.length + this.active.length > 0 && !this.isClosed) {
      const startedAt = clock();
      try {
        await this.applyWeights();
        await this.admit();
        if (this.active.length > 0) await this.decodeChunk();
      } catch (error) {
        for (const row of this.active.splice(0)) row.fail(ForgeError.from(error));
      }
      this.busyMs += clock() - startedAt;
      await setImmediate();
    }
  }

  private async applyWeights(): Promise<void> {
    if (this.next === null) return;
    const old = this.current;
    this.current = this.next;
    this.next = null;
    if (old.sessions !== this.current.sessions) await release(old);
    if (this.options.refreshCache && this.active.length > 0) await this.prefill(this.active);
  }

  /** Moves waiting rows in while there is room, their prompts prefilled. */
  private async admit(): Promise<void> {
    const joining = this.waiting.splice(0, Math.max(0, this.options.maxBatch - this.active.length));
    if (joining.length === 0) return;
    this.active.push(...joining);
    await this.prefill(joining);
  }

  /**
   * Fills the caches of rows with all their tokens but the last, which is the input of the next decoding step. Rows
   * with the same tokens share the work.
   */
  private async prefill(rows: readonly Row[]): Promise<void> {
    const { config } = this.options;
    const distinct = new Map<string, { tokens: number[]; rows: Row[] }>();
    for (const row of rows) {
      const tokens = [...row.request.promptTokenIds, ...row.tokenIds].slice(0, -1);
      const key = tokens.join();
      const known = distinct.get(key);
      if (known) known.rows.push(row);
      else distinct.set(key, { tokens, rows: [row] });
    }
    const sequences = [...distinct.values()].filter(({ tokens, rows: sharing }) => {
      if (tokens.length === 0) for (const row of sharing) row.cache = KvCache.empty(config.layers);
      return tokens.length > 0;
    });
    if (sequences.length === 0) return;
    const width = Math.max(MIN_ROWS, ...sequences.map(({ tokens }) => tokens.length));
    const shape = [Math.max(MIN_ROWS, sequences.length), width];
    const tokens = new BigInt64Array(shape[0]! * width);
    const positions = tokens.map((_, i) => BigInt(i % width));
    sequences.forEach((sequence, row) => {
      sequence.tokens.forEach((id, t) => (tokens[row * width + t] = BigInt(id)));
    });
    const session = await this.session(this.current, 'prefill');
    const outputs = await session.run({
      ...this.current.feeds,
      tokens: { dtype: 'int64', shape, data: tokens },
      positions: { dtype: 'int64', shape, data: positions },
    });
    sequences.forEach((sequence, row) => {
      const cache = KvCache.fromPrefill(outputs, row, sequence.tokens.length, config);
      for (const sharing of sequence.rows) sharing.cache = cache;
    });
  }

  private async decodeChunk(): Promise<void> {
    const { chunk } = this.options;
    const rows = this.active;
    const left = rows.map((row) => this.tokensLeft(row));
    const trips = Math.min(chunk, Math.max(...left));
    const isFiltering = rows.some(({ request }) => request.sampling.topK > 0 || request.sampling.topP < 1);
    const session = await this.session(this.current, isFiltering ? 'filtering' : 'plain');
    const { version } = this.current;
    const outputs = await session.run({ ...this.current.feeds, ...this.feedsOf(rows, trips) });
    const sampled = outputs.sampled!.data as BigInt64Array;
    const logprobs = outputs.logprobs!.data as Float32Array;
    const stride = sampled.length / trips;
    // Rows that were cancelled meanwhile have left this.active; their results go nowhere.
    const remaining = new Set(this.active);
    rows.forEach((row, at) => {
      if (!remaining.has(row)) return;
      const count = Math.min(trips, left[at]!);
      for (let t = 0; t < count; t++) {
        row.tokenIds.push(Number(sampled[t * stride + at]));
        row.logprobs.push(Math.min(0, logprobs[t * stride + at]!));
        row.versions.push(version);
        this.tokens += 1;
        if (this.isEnd(row)) break;
      }
      const completion = this.completionOf(row);
      if (completion !== null) {
        remaining.delete(row);
        row.finish(completion);
      } else {
        row.cache = row.cache!.extended(outputs, at, trips, this.options.config);
      }
    });
    this.active = this.active.filter((row) => remaining.has(row));
  }

  private feedsOf(rows: readonly Row[], trips: number): Record<string, HostTensor> {
    const padded = rows.length < MIN_ROWS ? [...rows, ...Array.from({ length: MIN_ROWS - rows.length }, () => rows[0]!)] : rows;
    const count = padded.length;
    const column = (value: (row: Row) => number): HostTensor => ({
      dtype: 'float32',
      shape: [count, 1],
      data: Float32Array.from(padded, value),
    });
    const uniforms = new Float32Array(count * trips);
    padded.forEach((row, at) => {
      for (let t = 0; t < trips; t++) uniforms[at * trips + t] = uniformAt(row.key, row.tokenIds.length + t);
    });
    return {
      ...KvCache.batch(padded.map(({ cache }) => cache!), this.options.config),
      trips: { dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(trips)) },
      tokens: {
        dtype: 'int64',
        shape: [count, 1],
        data: BigInt64Array.from(padded, ({ tokenIds, request }) => BigInt(tokenIds.at(-1) ?? request.promptTokenIds.at(-1)!)),
      },
      lengths: { dtype: 'int64', shape: [count], data: BigInt64Array.from(padded, ({ cache }) => BigInt(cache!.length)) },
      uniforms: { dtype: 'float32', shape: [count, trips], data: uniforms },
      temperature: column(({ request }) => request.sampling.temperature || 1),
      greedy: column(({ request }) => (request.sampling.temperature === 0 ? 1 : 0)),
      topK: column(({ request }) => request.sampling.topK),
      topP: column(({ request }) => request.sampling.topP),
    };
  }

  private tokensLeft({ request, tokenIds }: Row): number {
    const room = this.options.config.maxPositions - request.promptTokenIds.length;
    return Math.min(request.sampling.maxTokens, room) - tokenIds.length;
  }

  private isEnd({ tokenIds }: Row): boolean {
    return this.options.endTokenIds.includes(tokenIds.at(-1) ?? -1);
  }

  /** The completion of a row that is done; null while it goes on. */
  private completionOf(row: Row): Completion | null {
    const { tokenIds, logprobs, versions, request } = row;
    const { decodeText } = this.options;
    const completion = (stopReason: Completion['stopReason'], text: string, length = tokenIds.length): Completion => ({
      text,
      promptTokenIds: [...request.promptTokenIds],
      tokenIds: tokenIds.slice(0, length),
      logprobs: logprobs.slice(0, length),
      versions: versions.slice(0, length),
      stopReason,
    });
    const isEnd = this.isEnd(row);
    const isLong = this.tokensLeft(row) <= 0;
    if (request.sampling.stop.length > 0) {
      const text = decodeText(isEnd ? tokenIds.slice(0, -1) : tokenIds);
      const stopAt = earliest(text, request.sampling.stop);
      if (stopAt !== null) return completion('stop', text.slice(0, stopAt), this.tokensUntil(row, request.sampling.stop));
    }
    if (isEnd) return completion('end', decodeText(tokenIds.slice(0, -1)));
    return isLong ? completion('length', decodeText(tokenIds)) : null;
  }

  /** How many tokens it takes until the text holds one of the stop strings: those are kept, the rest is dropped. */
  private tokensUntil({ tokenIds }: Row, stop: readonly string[]): number {
    for (let count = 1; count < tokenIds.length; count++) {
      if (earliest(this.options.decodeText(tokenIds.slice(0, count)), stop) !== null) return count;
    }
    return tokenIds.length;
  }

  private async session(weights: Weights, kind: 'prefill' | 'plain' | 'filtering'): Promise<Session> {
    const known = weights.sessions.get(kind);
    if (known) return known;
    const { config, engine, weights: mode } = this.options;
    const model =
      kind === 'prefill'
        ? prefillModel(config, weights.parameters, mode)
        : decodeModel(config, weights.parameters, mode, kind === 'filtering');
    const session = await engine.createSession(model);
    weights.sessions.set(kind, session);
    return session;
  }

  private async dropNext(): Promise<void> {
    const unused = this.next;
    this.next = null;
    if (unused !== null && unused.sessions !== this.current.sessions) await release(unused);
  }
}

function weightsOf(version: number, parameters: Parameters, mode: WeightMode): Weights {
  const feeds =
    mode === 'inputs'
      ? Object.fromEntries([...parameters].map(([name, { shape, data }]) => [name, { dtype: 'float32' as const, shape, data }]))
      : {};
  return { version, parameters, feeds, sessions: new Map() };
}

async function release({ sessions }: Weights): Promise<void> {
  await Promise.all([...sessions.values()].map((session) => session.release()));
  sessions.clear();
}

/** Where the first of the stop strings begins. */
function earliest(text: string, stop: readonly string[]): number | null {
  const found = stop.map((string) => text.indexOf(string)).filter((at) => at >= 0);
  return found.length === 0 ? null : Math.min(...found);
}

const cancelled = (): ForgeError => new ForgeError('CANCELLED', 'generation was cancelled');
