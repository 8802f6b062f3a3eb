import { setImmediate } from 'node:timers/promises';
import type { Completion } from '@forge/contracts';
import type { Engine, HostTensor, Program } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import type { Parameters } from '@forge/weights';
import { ChunkMarks } from './chunk-marks';
import { decodeGraph, prefillGraph, prefillRuns } from './decode-graph';
import { emptyPromptCache, KvCache, promptCache, type PromptCache } from './kv-cache';
import type { ModelConfig } from '../transformer/model-config';
import { Sequence, type GenerateRequest, type SequenceRules } from './sequence';
import type { TextRules } from './stop-strings';
import { weightFeeds, type WeightMode } from './weight-source';

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
  /** With 'inputs', rollouts are independent of their batch to the bit on an engine with one thread only. */
  weightMode: WeightMode;
  /** Compute the cache of running sequences again when new weights take effect, instead of keeping the old one. */
  refreshCache?: boolean;
  decodeText: TextRules['decodeText'];
  /** Text of each special token by its id, for stop strings that name one; none unless given. */
  specialTokens?: TextRules['specialTokens'];
  /** Milliseconds, for the busy share. */
  clock?: () => number;
}

export interface GeneratorStats {
  version: number;
  /** Generated since the start. */
  tokens: number;
  busyMs: number;
  activeRows: number;
  queuedRows: number;
}

type ProgramKind = 'prefill' | 'plain' | 'filtering' | 'plainFinal' | 'filteringFinal';

interface Weights {
  version: number;
  parameters: Parameters;
  feeds: Record<string, HostTensor>;
  programs: Map<ProgramKind, Program>;
}

/** Tokens [P] whose keys and values some rows want. */
interface Prefilling {
  tokens: readonly number[];
  rows: Sequence[];
}

/** A product with fewer rows would use other kernels, and its results would have other bits. */
const MIN_ROWS = 2;

/**
 * Generates with continuous batching: between two chunks, finished sequences leave, waiting ones join, and new weights
 * take effect. A completion depends on the weights, the seed, its id, its prompt and its sampling only, to the bit, and
 * not on its batch. (With weights as 'inputs' that needs an engine with one thread.)
 *
 * Shapes of a chunk: B rows, those of `active` and copies of the first up to `minRows`; trips <= `chunk` tokens a row; C
 * distinct caches padded to P positions. See `decodeGraph` for every input and output.
 */
export class Generator {
  private readonly rules: SequenceRules;
  private readonly waiting: Sequence[] = [];
  private active: Sequence[] = [];
  private current: Weights;
  private next: Weights | null = null;
  private running: Promise<void> | null = null;
  private isClosed = false;
  /** The calls of applyWeights so far, one after the other. */
  private swapping: Promise<void> = Promise.resolve();
  private swaps = 0;
  /** The newest version among the calls of applyWeights under way. */
  private newest = -1;
  private tokens = 0;
  private busyMs = 0;

  private constructor(private readonly options: GeneratorOptions) {
    const { config, endTokenIds, decodeText, specialTokens = new Map<number, string>() } = options;
    this.rules = { maxPositions: config.maxPositions, endTokenIds, decodeText, specialTokens };
    this.current = weightsOf(options.version, options.parameters, options.weightMode);
  }

  static async create(options: GeneratorOptions): Promise<Generator> {
    const generator = new Generator(options);
    await Promise.all(
      (['prefill', 'plain'] as const).map((kind) => generator.program(generator.current, kind)),
    );
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
   * One completion per rollout id, in their order; they share the work on the prompt.
   *
   * Shapes: promptTokenIds [P], 0 < P < maxPositions -> tokenIds, logprobs, versions [T] of each completion, T at most
   * sampling.maxTokens and maxPositions - P.
   *
   * @throws {ForgeError} CAPACITY_PROMPT_TOO_LONG when the prompt leaves no position to generate; CANCELLED when the
   *   signal fires or the generator closes; NUMERIC_NON_FINITE when the weights give no probabilities.
   */
  generate(request: GenerateRequest): Promise<Completion[]> {
    const { promptTokenIds, rolloutIds, signal } = request;
    const { maxPositions, vocabSize } = this.options.config;
    if (this.isClosed) return Promise.reject(cancelled());
    if (promptTokenIds.length === 0 || promptTokenIds.length >= maxPositions) {
      const found = `a prompt of ${promptTokenIds.length} tokens`;
      const message = `${found}; the model takes 1 to ${maxPositions - 1} and generates at least one more`;
      return Promise.reject(
        new ForgeError('CAPACITY_PROMPT_TOO_LONG', message, { tokens: promptTokenIds.length, maxPositions }),
      );
    }
    if (promptTokenIds.some((id) => id >= vocabSize)) {
      return Promise.reject(
        new ForgeError('SHAPE_MISMATCH', `the prompt has a token id beyond the vocabulary of ${vocabSize}`),
      );
    }
    const own = { ...request };
    const completions = rolloutIds.map(
      (id) =>
        new Promise<Completion>((finish, fail) => {
          this.waiting.push(new Sequence(own, id, this.rules, finish, fail));
        }),
    );
    const all = Promise.all(completions);
    if (signal?.aborted) this.drop(own, cancelled());
    this.running ??= this.run();
    if (signal === undefined) return all;
    const onAbort = (): void => this.drop(own, cancelled());
    signal.addEventListener('abort', onAbort);
    return all.finally(() => signal.removeEventListener('abort', onAbort));
  }

  /**
   * New weights, which take effect at the next chunk. Sequences under way go on with the cache they have. Of calls that
   * overlap, the newest version wins, whatever the order they come in; the older ones do nothing.
   */
  applyWeights(version: number, parameters: Parameters): Promise<void> {
    this.newest = this.swaps === 0 ? version : Math.max(this.newest, version);
    this.swaps += 1;
    const swapped = this.swapping
      .then(() => (version < this.newest ? undefined : this.swap(version, parameters)))
      .finally(() => (this.swaps -= 1));
    // The caller learns of a failure; later calls go on.
    this.swapping = swapped.catch(() => undefined);
    return swapped;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const row of [...this.waiting.splice(0), ...this.active.splice(0)]) row.fail(cancelled());
    await this.running;
    await this.swapping;
    await this.dropNext();
    await release(this.current);
  }

  private async swap(version: number, parameters: Parameters): Promise<void> {
    if (this.isClosed) throw cancelled();
    const { weightMode } = this.options;
    const fresh = weightsOf(version, parameters, weightMode);
    if (weightMode === 'inputs') fresh.programs = this.current.programs;
    else {
      try {
        for (const kind of [...this.current.programs.keys()]) await this.program(fresh, kind);
      } catch (error) {
        await release(fresh);
        throw error;
      }
    }
    await this.dropNext();
    this.next = fresh;
    if (this.running === null) await this.useNext();
  }

  /** Fails the unfinished rows of a request. */
  private drop(request: GenerateRequest, error: ForgeError): void {
    const isOther = (row: Sequence): boolean => row.request !== request;
    for (const row of [...this.waiting, ...this.active]) if (!isOther(row)) row.fail(error);
    this.waiting.splice(0, this.waiting.length, ...this.waiting.filter(isOther));
    this.active = this.active.filter(isOther);
  }

  private async run(): Promise<void> {
    const clock = this.options.clock ?? (() => performance.now());
    // Requests of the same turn of the event loop join the first chunk.
    await setImmediate();
    while (this.waiting.length + this.active.length > 0 && !this.isClosed) {
      const startedAt = clock();
      try {
        await this.useNext();
        await this.admit();
        if (this.active.length > 0) await this.decodeChunk();
      } catch (error) {
        for (const row of this.active.splice(0)) row.fail(ForgeError.from(error));
      }
      this.busyMs += clock() - startedAt;
      await setImmediate();
    }
    // The same turn as the check above: a later request starts a new run.
    this.running = null;
  }

  private async useNext(): Promise<void> {
    if (this.next === null) return;
    const old = this.current;
    this.current = this.next;
    this.next = null;
    if (old.programs !== this.current.programs) await release(old);
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
   *
   * Shapes: caches [layers * 2][kvHeads, P, headDim]; P = tokens of the row - 1.
   */
  private async prefill(rows: readonly Sequence[]): Promise<void> {
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
   * The outputs of `prefillGraph` for sequences side by side, padded on the right.
   *
   * Shapes: tokens, positions int64 [S, W] -> keys.L, values.L [S, kvHeads, W, headDim]; W = longest of the S sequences,
   * at least 2.
   */
  private async runPrefill(sequences: readonly Prefilling[]): Promise<Record<string, HostTensor>> {
    const width = Math.max(MIN_ROWS, ...sequences.map(({ tokens }) => tokens.length));
    const shape = [sequences.length, width];
    const tokens = new BigInt64Array(sequences.length * width);
    const positions = tokens.map((_, i) => BigInt(i % width));
    sequences.forEach((sequence, row) => {
      sequence.tokens.forEach((id, t) => (tokens[row * width + t] = BigInt(id)));
    });
    const program = await this.program(this.current, 'prefill');
    const { host } = await program.run({
      ...this.current.feeds,
      tokens: { dtype: 'int64', shape, data: tokens },
      positions: { dtype: 'int64', shape, data: positions },
    });
    return host;
  }

  /**
   * Decodes up to `chunk` tokens for every active row, and finishes the rows that are done.
   *
   * Shapes: sampled int64 and logprobs [trips, B, 1]; token t of row r lies at t * B + r. Rows behind the active ones are
   * copies of the first, up to `minRows`.
   */
  private async decodeChunk(): Promise<void> {
    const { chunk, config } = this.options;
    const rows = this.active;
    const left = rows.map((row) => row.tokensLeft);
    const longest = Math.max(...left);
    const trips = Math.min(chunk, longest);
    const { version } = this.current;
    const program = await this.program(this.current, this.decodeKind(rows, longest <= chunk));
    const { host: outputs } = await program.run({ ...this.current.feeds, ...this.feedsOf(rows, trips) });
    const sampled = outputs.sampled!.data as BigInt64Array;
    const logprobs = outputs.logprobs!.data as Float32Array;
    const stride = sampled.length / trips;
    const done = new Set<Sequence>();
    const marks = new ChunkMarks(version);
    // Rows that were cancelled meanwhile have left this.active; their results go nowhere.
    const remaining = new Set(this.active);
    rows.forEach((row, at) => {
      if (!remaining.has(row)) return;
      const count = Math.min(trips, left[at]!);
      const before = row.tokenIds.length;
      for (let t = 0; t < count; t++) {
        const logprob = logprobs[t * stride + at]!;
        if (!Number.isFinite(logprob)) {
          this.drop(row.request, nonFinite(logprob, version));
          return;
        }
        row.add(Number(sampled[t * stride + at]), logprob, version);
        this.tokens += 1;
        if (row.isEnd) break;
      }
      marks.add(row.request, row.tokenIds.length - before);
      const completion = row.completion();
      if (completion !== null) {
        done.add(row);
        row.finish(completion);
      } else {
        row.cache!.append(outputs, at, trips, config);
      }
    });
    this.active = this.active.filter((row) => !done.has(row));
    marks.tell();
  }

  /** With weights as inputs, programs last, and a variant for chunks that nothing follows pays. */
  private decodeKind(rows: readonly Sequence[], isLast: boolean): ProgramKind {
    const isFinal = isLast && this.options.weightMode === 'inputs';
    const isFiltering = rows.some(
      ({ request: { sampling } }) => sampling.temperature > 0 && (sampling.topK > 0 || sampling.topP < 1),
    );
    if (isFiltering) return isFinal ? 'filteringFinal' : 'filtering';
    return isFinal ? 'plainFinal' : 'plain';
  }

  /**
   * The inputs of `decodeGraph` that are not weights.
   *
   * Shapes: tokens int64 [B, 1]; lengths int64 [B]; uniforms [B, trips]; temperature, greedy, topK, topP [B, 1]; caches as
   * `KvCache.batch` has them.
   */
  private feedsOf(rows: readonly Sequence[], trips: number): Record<string, HostTensor> {
    const missing = Math.max(0, this.minRows() - rows.length);
    const padded = missing > 0 ? [...rows, ...Array.from({ length: missing }, () => rows[0]!)] : rows;
    const count = padded.length;
    const column = (value: (row: Sequence) => number): HostTensor => ({
      dtype: 'float32',
      shape: [count, 1],
      data: Float32Array.from(padded, value),
    });
    const uniforms = new Float32Array(count * trips);
    padded.forEach((row, at) => {
      for (let t = 0; t < trips; t++) uniforms[at * trips + t] = row.uniform(t);
    });
    return {
      ...KvCache.batch(
        padded.map(({ cache }) => cache!),
        this.options.config,
      ),
      trips: { dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(trips)) },
      tokens: {
        dtype: 'int64',
        shape: [count, 1],
        data: BigInt64Array.from(padded, ({ lastTokenId }) => BigInt(lastTokenId)),
      },
      lengths: {
        dtype: 'int64',
        shape: [count],
        data: BigInt64Array.from(padded, ({ cache }) => BigInt(cache!.length)),
      },
      uniforms: { dtype: 'float32', shape: [count, trips], data: uniforms },
      temperature: column(({ request }) => request.sampling.temperature || 1),
      greedy: column(({ request }) => (request.sampling.temperature === 0 ? 1 : 0)),
      topK: column(({ request }) => request.sampling.topK),
      topP: column(({ request }) => request.sampling.topP),
    };
  }

  /**
   * The fewest rows that decoding takes: with fewer of a row's key-value heads than threads, onnxruntime would divide one head's
   * attention among threads, and so add in another order.
   */
  private minRows(): number {
    const { engine, config } = this.options;
    return Math.max(MIN_ROWS, Math.ceil(engine.options.threads / config.kvHeads));
  }

  private async program(weights: Weights, kind: ProgramKind): Promise<Program> {
    const known = weights.programs.get(kind);
    if (known) return known;
    const { config, engine, weightMode: mode } = this.options;
    const variant = { isFiltering: kind.startsWith('filtering'), isFinal: kind.endsWith('Final') };
    const graph =
      kind === 'prefill'
        ? prefillGraph(config, weights.parameters, mode)
        : decodeGraph(config, weights.parameters, mode, variant);
    const program = await engine.compile(graph);
    weights.programs.set(kind, program);
    return program;
  }

  private async dropNext(): Promise<void> {
    const unused = this.next;
    this.next = null;
    if (unused !== null && unused.programs !== this.current.programs) await release(unused);
  }
}

function weightsOf(version: number, parameters: Parameters, mode: WeightMode): Weights {
  return { version, parameters, feeds: weightFeeds(parameters, mode), programs: new Map() };
}

async function release({ programs }: Weights): Promise<void> {
  await Promise.all([...programs.values()].map((program) => program.release()));
  programs.clear();
}

const cancelled = (): ForgeError => new ForgeError('CANCELLED', 'generation was cancelled');

const nonFinite = (logprob: number, version: number): ForgeError => {
  const message = `a generated token has the log-prob ${logprob} under weights of version ${version}: the weights or activations overflowed`;
  return new ForgeError('NUMERIC_NON_FINITE', message, { version });
};
