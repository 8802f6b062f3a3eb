import { setImmediate } from 'node:timers/promises';
import type { Canary, Completion } from '@forge/contracts';
import type { Engine } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import type { Parameters } from '@forge/weights';
import { ChunkMarks } from './chunk-marks';
import { checkCanary } from './canary';
import { Decoder, type DecodedChunk, type PrefillCounts } from './decoder';
import { createRunningCaches, type RunningCaches } from '../kv-cache/running-caches';
import type { ModelConfig } from '../transformer/model-config';
import { Sequence, type GenerateRequest, type SequenceRules } from './sequence';
import type { TextRules } from './stop-strings';
import type { FrozenBase, WeightMode } from '../adapter/weight-source';

export interface GeneratorOptions {
  engine: Engine;
  config: ModelConfig;
  parameters: Parameters;
  /** The model whose adapter `parameters` are; left out: they are all of it. */
  base?: FrozenBase | undefined;
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
  /** Bytes of keys and values kept for prompts to come that begin like earlier ones, at most; nothing unless given. */
  prefixCacheBytes?: number;
  decodeText: TextRules['decodeText'];
  /** Text of each special token by its id, for stop strings that name one; none unless given. */
  specialTokens?: TextRules['specialTokens'];
  /** Told what every prefill has computed. */
  onPrefilled?: (counts: PrefillCounts) => void;
  /** Called when new weights have taken the place of others, which nothing here refers to any more. */
  onReplaced?: () => void;
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

/**
 * Generates with continuous batching: between two chunks, finished sequences leave, waiting ones join, and new weights
 * take effect. A completion depends on the weights, the seed, its id, its prompt and its sampling only, to the bit, and
 * not on its batch. (With weights as 'inputs' that needs an engine with one thread.)
 *
 * See `Decoder` for prefill and the chunks.
 */
export class Generator {
  private readonly rules: SequenceRules;
  private readonly waiting: Sequence[] = [];
  private active: Sequence[] = [];
  private next: Decoder | null = null;
  private running: Promise<void> | null = null;
  private isClosed = false;
  /** The calls of applyWeights so far, one after the other. */
  private swapping: Promise<void> = Promise.resolve();
  private swaps = 0;
  /** The newest version among the calls of applyWeights under way. */
  private newest = -1;
  private tokens = 0;
  private busyMs = 0;

  private constructor(
    private readonly options: Omit<GeneratorOptions, 'parameters' | 'version' | 'base'>,
    private readonly caches: RunningCaches,
    private current: Decoder,
  ) {
    const { config, endTokenIds, decodeText, specialTokens = new Map<number, string>() } = options;
    this.rules = { maxPositions: config.maxPositions, endTokenIds, decodeText, specialTokens };
  }

  static async create({ version, parameters, base, ...options }: GeneratorOptions): Promise<Generator> {
    const caches = createRunningCaches(options.engine, options.config);
    const decoder = await Decoder.create({ ...options, base, caches }, version, parameters);
    return new Generator(options, caches, decoder);
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
   *
   * @throws {ForgeError} CONTRACT_CANARY_MISMATCH when the program finds other log-probs with them than `canary` has:
   *   then the weights in use stay.
   */
  applyWeights(version: number, parameters: Parameters, canary?: Canary): Promise<void> {
    this.newest = this.swaps === 0 ? version : Math.max(this.newest, version);
    this.swaps += 1;
    const swapped = this.swapping
      .then(() => (version < this.newest ? undefined : this.swap(version, parameters, canary)))
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
    await this.current.releaseUnless(null);
    await this.caches.close();
  }

  private async swap(version: number, parameters: Parameters, canary?: Canary): Promise<void> {
    if (this.isClosed) throw cancelled();
    const fresh = await this.current.with(version, parameters);
    if (canary !== undefined) await this.prove(fresh, canary);
    await this.dropNext();
    this.next = fresh;
    if (this.running === null) await this.useNext();
  }

  private async prove(fresh: Decoder, canary: Canary): Promise<void> {
    try {
      const found = await fresh.logprobs(canary.tokenIds, canary.temperature);
      checkCanary(fresh.version, canary, found, this.options.engine.options);
    } catch (error) {
      await fresh.releaseUnless(this.current);
      throw error;
    }
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
    while (this.hasWork() && !this.isClosed) {
      const startedAt = clock();
      try {
        await this.useNext();
        await this.admit();
        if (this.active.length > 0) await this.decodeChunk();
      } catch (error) {
        for (const row of this.active.splice(0)) row.fail(ForgeError.from(error));
      }
      if (this.active.length === 0) this.caches.clear();
      this.busyMs += clock() - startedAt;
      await setImmediate();
    }
    // The same turn as the check above: a later request starts a new run.
    this.running = null;
  }

  /** Whether there are rows to decode, or weights to let go of. */
  private hasWork(): boolean {
    return this.waiting.length + this.active.length > 0 || this.next !== null;
  }

  private async useNext(): Promise<void> {
    if (this.next === null) return;
    const old = this.current;
    this.current = this.next;
    this.next = null;
    await old.releaseUnless(this.current);
    this.options.onReplaced?.();
    if (this.options.refreshCache && this.active.length > 0) await this.prefill(this.active);
  }

  /** Moves waiting rows in while there is room, their prompts prefilled. */
  private async admit(): Promise<void> {
    const joining = this.waiting.splice(0, Math.max(0, this.options.maxBatch - this.active.length));
    if (joining.length === 0) return;
    this.active.push(...joining);
    await this.prefill(joining);
  }

  private async prefill(rows: readonly Sequence[]): Promise<void> {
    const counts = await this.current.prefill(rows);
    this.options.onPrefilled?.(counts);
  }

  /** Decodes up to `chunk` tokens for every active row, and finishes the rows that are done. */
  private async decodeChunk(): Promise<void> {
    const { chunk } = this.options;
    const rows = this.active;
    const left = rows.map((row) => row.tokensLeft);
    const longest = Math.max(...left);
    const { version } = this.current;
    const decoded = await this.current.decode(rows, Math.min(chunk, longest), longest <= chunk);
    const marks = new ChunkMarks(version);
    // Rows that were cancelled meanwhile have left this.active; their results go nowhere.
    const remaining = new Set(this.active);
    const done = new Set<Sequence>();
    rows.forEach((row, at) => {
      if (!remaining.has(row)) return;
      const before = row.tokenIds.length;
      const nonFinite = addTokens(row, decoded, at, Math.min(decoded.trips, left[at]!), version);
      this.tokens += row.tokenIds.length - before;
      if (nonFinite !== null) {
        this.drop(row.request, nonFinite);
        return;
      }
      marks.add(row.request, row.tokenIds.length - before);
      const completion = row.completion();
      if (completion === null) {
        row.tellGrowth();
      } else {
        done.add(row);
        row.finish(completion);
      }
    });
    this.active = this.active.filter((row) => !done.has(row));
    marks.tell();
  }

  private async dropNext(): Promise<void> {
    const unused = this.next;
    this.next = null;
    await unused?.releaseUnless(this.current);
  }
}

/** Adds the tokens of row `at` of a chunk up to an end token; the error when one has no log-prob. */
function addTokens(
  row: Sequence,
  { sampled, logprobs, stride }: DecodedChunk,
  at: number,
  count: number,
  version: number,
): ForgeError | null {
  for (let t = 0; t < count && !row.isEnd; t++) {
    const logprob = logprobs[t * stride + at]!;
    if (!Number.isFinite(logprob)) return nonFinite(logprob, version);
    row.add(Number(sampled[t * stride + at]), logprob, version);
  }
  return null;
}

const cancelled = (): ForgeError => new ForgeError('CANCELLED', 'generation was cancelled');

function nonFinite(logprob: number, version: number): ForgeError {
  const message = `a generated token has the log-prob ${logprob} under weights of version ${version}: the weights or activations overflowed`;
  return new ForgeError('NUMERIC_NON_FINITE', message, { version });
}
