import type { Completion, Sampling } from '@forge/contracts';
import type { ForgeError } from '@forge/errors';
import type { ChunkListener } from './chunk-marks';
import type { KvCache } from '../kv-cache/kv-cache';
import { StopStrings, type TextRules } from './stop-strings';
import { rolloutKey, uniformAt, type RolloutKey } from './uniform';

/** Tokens of one completion since the last time it was told. Shapes: tokenIds, logprobs [T]. */
export interface Growth {
  rolloutId: string;
  tokenIds: number[];
  logprobs: number[];
}

/** Completions to generate from one prompt. Shapes: promptTokenIds [P], rolloutIds [completions]. */
export interface GenerateRequest extends ChunkListener {
  promptTokenIds: readonly number[];
  /** One rollout id per wanted completion; with the seed it decides the random numbers. */
  rolloutIds: readonly string[];
  seed: number;
  sampling: Sampling;
  signal?: AbortSignal;
  /** Told after every chunk how a completion that goes on has grown; its end is the completion. */
  onGrowth?: (growth: Growth) => void;
}

/** The ends of a sequence, and the text of its tokens. */
export interface SequenceRules extends TextRules {
  maxPositions: number;
  endTokenIds: readonly number[];
}

/**
 * One completion while it is generated.
 *
 * Shapes: tokenIds, logprobs, versions [T]; T = tokens generated so far. The cache holds keys and values of P + T - 1 of
 * the P prompt and T generated tokens: all but the last, which is the next input.
 */
export class Sequence {
  readonly tokenIds: number[] = [];
  cache: KvCache | null = null;
  private readonly logprobs: number[] = [];
  private readonly versions: number[] = [];
  private readonly key: RolloutKey;
  private readonly stopStrings: StopStrings;
  /** Tokens that a listener knows. */
  private told = 0;

  constructor(
    readonly request: GenerateRequest,
    private readonly rolloutId: string,
    private readonly rules: SequenceRules,
    readonly finish: (completion: Completion) => void,
    readonly fail: (error: ForgeError) => void,
  ) {
    this.key = rolloutKey(request.seed, rolloutId);
    this.stopStrings = new StopStrings(request.sampling.stop, rules);
  }

  /** The last token, which is the input of the next decoding step. */
  get lastTokenId(): number {
    return this.tokenIds.at(-1) ?? this.request.promptTokenIds.at(-1)!;
  }

  /** The number of tokens that may follow. */
  get tokensLeft(): number {
    const { promptTokenIds, sampling } = this.request;
    const room = this.rules.maxPositions - promptTokenIds.length;
    return Math.min(sampling.maxTokens, room) - this.tokenIds.length;
  }

  /** True once the last token is an end token. */
  get isEnd(): boolean {
    return this.rules.endTokenIds.includes(this.tokenIds.at(-1) ?? -1);
  }

  /** The random number in [0, 1) that draws the token `ahead` of the next one. */
  uniform(ahead: number): number {
    return uniformAt(this.key, this.tokenIds.length + ahead);
  }

  add(tokenId: number, logprob: number, version: number): void {
    this.tokenIds.push(tokenId);
    this.logprobs.push(Math.min(0, logprob));
    this.versions.push(version);
  }

  /** The completion once the sequence is done; null while it goes on. */
  completion(): Completion | null {
    const { isEnd } = this;
    const { decodeText } = this.rules;
    const shown = isEnd ? this.tokenIds.slice(0, -1) : this.tokenIds;
    const stopped = this.stopStrings.find(shown);
    if (stopped !== null) return this.complete('stop', stopped.text, stopped.tokens);
    if (isEnd) return this.complete('end', decodeText(shown));
    return this.tokensLeft <= 0 ? this.complete('length', decodeText(shown)) : null;
  }

  /** The completion of a sequence that is done by what its tokens do not show. */
  ended(): Completion {
    return this.complete('end', this.rules.decodeText(this.tokenIds));
  }

  /** Tells a listener what is new since the last time. */
  tellGrowth(): void {
    const { onGrowth } = this.request;
    if (onGrowth === undefined) return;
    onGrowth({
      rolloutId: this.rolloutId,
      tokenIds: this.tokenIds.slice(this.told),
      logprobs: this.logprobs.slice(this.told),
    });
    this.told = this.tokenIds.length;
  }

  private complete(
    stopReason: Completion['stopReason'],
    text: string,
    length = this.tokenIds.length,
  ): Completion {
    return {
      text,
      promptTokenIds: [...this.request.promptTokenIds],
      tokenIds: this.tokenIds.slice(0, length),
      logprobs: this.logprobs.slice(0, length),
      versions: this.versions.slice(0, length),
      stopReason,
    };
  }
}
