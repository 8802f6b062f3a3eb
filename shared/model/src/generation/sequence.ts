import type { Completion, Sampling } from '@forge/contracts';
import type { ForgeError } from '@forge/errors';
import type { ChunkMark } from './chunk-marks';
import type { KvCache } from './kv-cache';
import { rolloutKey, uniformAt, type RolloutKey } from './uniform';

export interface GenerateRequest {
  promptTokenIds: readonly number[];
  /** One rollout id per wanted completion; with the seed it decides the random numbers. */
  rolloutIds: readonly string[];
  seed: number;
  sampling: Sampling;
  signal?: AbortSignal;
  /** Told of every chunk in which tokens of the request were generated. */
  onChunk?: (chunk: ChunkMark) => void;
}

/** When a sequence ends, and how its tokens read. */
export interface SequenceRules {
  maxPositions: number;
  endTokenIds: readonly number[];
  /** Text of generated tokens, end tokens left out. */
  decodeText: (tokenIds: readonly number[]) => string;
}

/** One completion while it is generated. */
export class Sequence {
  readonly tokenIds: number[] = [];
  cache: KvCache | null = null;
  private readonly logprobs: number[] = [];
  private readonly versions: number[] = [];
  private readonly key: RolloutKey;

  constructor(
    readonly request: GenerateRequest,
    rolloutId: string,
    private readonly rules: SequenceRules,
    readonly finish: (completion: Completion) => void,
    readonly fail: (error: ForgeError) => void,
  ) {
    this.key = rolloutKey(request.seed, rolloutId);
  }

  /** The last token, which decoding goes on from. */
  get lastTokenId(): number {
    return this.tokenIds.at(-1) ?? this.request.promptTokenIds.at(-1)!;
  }

  /** Tokens that may follow. */
  get tokensLeft(): number {
    const { promptTokenIds, sampling } = this.request;
    const room = this.rules.maxPositions - promptTokenIds.length;
    return Math.min(sampling.maxTokens, room) - this.tokenIds.length;
  }

  /** Whether the last token is an end token. */
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
    const { tokenIds, isEnd } = this;
    const { decodeText } = this.rules;
    const { stop } = this.request.sampling;
    const text = (): string => decodeText(isEnd ? tokenIds.slice(0, -1) : tokenIds);
    if (stop.length > 0) {
      const stopAt = earliest(text(), stop);
      if (stopAt !== null) return this.complete('stop', text().slice(0, stopAt), this.tokensUntil(stop));
    }
    if (isEnd) return this.complete('end', text());
    return this.tokensLeft <= 0 ? this.complete('length', text()) : null;
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

  /**
   * How many tokens it takes until the text holds one of the stop strings, which it does at the end: those are kept, the
   * rest is dropped.
   */
  private tokensUntil(stop: readonly string[]): number {
    let [without, count] = [0, this.tokenIds.length];
    while (count - without > 1) {
      const middle = (without + count) >> 1;
      if (earliest(this.rules.decodeText(this.tokenIds.slice(0, middle)), stop) === null) without = middle;
      else count = middle;
    }
    return count;
  }
}

/** Where the first of the stop strings begins. */
function earliest(text: string, stop: readonly string[]): number | null {
  const found = stop.map((string) => text.indexOf(string)).filter((at) => at >= 0);
  return found.length === 0 ? null : Math.min(...found);
}
