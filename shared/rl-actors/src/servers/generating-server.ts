import type { Sampling } from '@forge/contracts';

/** Tokens to go on from, and how. */
export interface TokensAsked {
  tokenIds: readonly number[];
  sampling: Sampling;
  maxTokens: number;
  seed: number;
  /** Tokens that end a completion. */
  endTokenIds: readonly number[];
  /** Weights to generate with, by the name they were put under; null: those the server has. */
  weights: string | null;
}

/** Tokens that a server has generated. Shapes: both [T]. */
export interface TokensGiven {
  tokenIds: number[];
  /** Log-probs of the tokens under logits / temperature. */
  logprobs: number[];
  /** Whether the server was told to end it before it was done. */
  isInterrupted: boolean;
  /** Whether the server says that it is done, though its last token need not show that. */
  isEnded: boolean;
}

/** A directory with weights that a server can read. */
export interface ServedWeights {
  /** Name that tells them from all others. */
  name: string;
  /** Path on the server. */
  path: string;
}

/** The part of a server that takes weights. */
export interface WeightsRoutes {
  /** Whether it keeps what it has beside the new ones, each by its name, as adapters are. */
  readonly isBeside: boolean;
  /** Takes weights, which count once this resolves; nothing may be under way unless they are beside others. */
  put(weights: ServedWeights, signal: AbortSignal): Promise<void>;
  /** Lets go of weights beside others. */
  drop(name: string, signal: AbortSignal): Promise<void>;
  /**
   * Log-probs of all tokens but the first, at temperature 1.
   *
   * Shapes: tokenIds [T] -> [T - 1].
   */
  score(tokenIds: readonly number[], name: string, signal: AbortSignal): Promise<number[]>;
  /** Ends what is under way, which is answered with the tokens so far; nothing is generated until `resume`. */
  pause(signal: AbortSignal): Promise<void>;
  resume(signal: AbortSignal): Promise<void>;
}

/** A server that generates, as its API is spoken. What is not here is ours: prompts, texts, ends, versions, proofs. */
export interface GeneratingServer {
  /** Address, for messages. */
  readonly address: string;
  /** null: it takes none. */
  readonly weights: WeightsRoutes | null;
  /** Looks whether it answers. */
  look(signal: AbortSignal): Promise<void>;
  /**
   * One continuation.
   *
   * @throws {ServerFault} for what may pass.
   * @throws {ForgeError} CONTRACT_GENERATOR_UNREADABLE; NUMERIC_NON_FINITE; CONFIG_INVALID; CONTRACT_UNAUTHORIZED.
   */
  generate(asked: TokensAsked, signal: AbortSignal): Promise<TokensGiven>;
}
