/** Tokens of a whole block. */
export const BLOCK_TOKENS = 64;

/**
 * Keys and values of a stretch of tokens behind those of its parents. A prompt is always computed in these blocks, so
 * that the bits of a block depend on the tokens up to its end and on the weights, and not on which blocks were kept.
 */
export class CacheBlock {
  /** Position of its first token. */
  readonly start: number;
  readonly key: string;
  /** In the order of `cacheNames`: [kvHeads, tokens, headDim] each; none until they are computed. */
  parts: readonly Float32Array[] = [];

  constructor(
    private readonly id: number,
    readonly parent: CacheBlock | null,
    readonly tokens: readonly number[],
  ) {
    this.start = parent?.end ?? 0;
    this.key = CacheBlock.key(parent, tokens);
  }

  /** The tokens of a sequence by block; the last may have fewer. */
  static cut(tokens: readonly number[]): number[][] {
    return Array.from({ length: Math.ceil(tokens.length / BLOCK_TOKENS) }, (_, i) =>
      tokens.slice(i * BLOCK_TOKENS, (i + 1) * BLOCK_TOKENS),
    );
  }

  /** Different for different tokens, and behind different parents. */
  static key(parent: CacheBlock | null, tokens: readonly number[]): string {
    return `${parent?.id ?? ''}:${tokens.join()}`;
  }

  /** Position behind its last token. */
  get end(): number {
    return this.start + this.tokens.length;
  }

  get isWhole(): boolean {
    return this.tokens.length === BLOCK_TOKENS;
  }

  get isComputed(): boolean {
    return this.parts.length > 0;
  }

  get sizeBytes(): number {
    return this.parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }
}
