import type { Engine, HostTensor, Program } from '@forge/engine';
import { Graph, linearLogprobs, reshape, topLinearLogprobs } from '@forge/graph';
import type { ReferenceScore } from '@forge/rl';
import { ForgeError } from '@forge/errors';
import type { Parameters } from '@forge/weights';
import type { ModelConfig } from '../transformer/model-config';
import { headWeight, transformer } from '../transformer/transformer';
import {
  modelSource,
  weightFeeds,
  weightSource,
  type FrozenBase,
  type WeightMode,
} from '../adapter/weight-source';

export interface LogprobScorerOptions {
  engine: Engine;
  config: ModelConfig;
  parameters: Parameters;
  /** The model whose adapter `parameters` are; left out: they are all of it. */
  base?: FrozenBase | undefined;
  /** 'inputs' for other parameters at every call; 'initializers' unless given. */
  weightMode?: WeightMode;
  /** Log-probs are those of logits / temperature. */
  temperature?: number;
  /** Padded tokens of one forward pass at most; a longer sequence goes alone. */
  maxBatchTokens: number;
  /** Rows of logits that exist at a time. */
  logitsChunk?: number;
  /** Likeliest tokens told in each place; 0 unless given. */
  top?: number;
  /** Tokens from this id on are not told; all of the model's unless given. */
  topBelow?: number;
}

/** Log-probs of given sequences (teacher forcing). */
export class LogprobScorer {
  private constructor(
    private readonly program: Program,
    private readonly maxBatchTokens: number,
    private readonly top: number,
  ) {}

  static async create(options: LogprobScorerOptions): Promise<LogprobScorer> {
    const {
      config,
      parameters,
      temperature = 1,
      logitsChunk = 1024,
      weightMode: mode = 'initializers',
      base,
      top = 0,
      topBelow: below = config.vocabSize,
    } = options;
    if (top > below) {
      const message = `found ${top} likeliest tokens, expected at most the ${below} of the vocabulary`;
      throw new ForgeError('CONFIG_INVALID', message, { top, below });
    }
    const graph = new Graph();
    const { weights, adapter } = modelSource(graph, weightSource(graph, parameters, mode), base);
    const tokens = graph.input('tokens', 'int64', ['B', 'T']);
    const positions = graph.input('positions', 'int64', ['B', 'T']);
    const targets = graph.input('targets', 'int64', ['B', 'T']);
    const hidden = reshape(transformer(config, weights, { tokens, positions, adapter }), [
      -1,
      config.hiddenSize,
    ]);
    const head = headWeight(config, weights);
    const chunks = { chunk: logitsChunk, temperature };
    const { logprobs } = linearLogprobs(hidden, head, reshape(targets, [-1]), chunks);
    const likeliest = top > 0 ? topLinearLogprobs(hidden, head, { ...chunks, k: top, below }) : null;
    const program = await options.engine.compile({
      logprobs,
      ...(likeliest && { topTokens: likeliest.ids, topLogprobs: likeliest.logprobs }),
    });
    return new LogprobScorer(program, options.maxBatchTokens, top);
  }

  /**
   * The log-prob of every token given the tokens before it; 0 for the first. With `weightMode` 'inputs' every call says
   * under which `parameters`.
   *
   * Shapes: each sequence [T] -> its log-probs [T].
   */
  async score(sequences: readonly ArrayLike<number>[], parameters?: Parameters): Promise<number[][]> {
    return (await this.judge(sequences, parameters)).map(({ logprobs }) => logprobs);
  }

  /** The same with the `top` likeliest tokens in each place; those in the first, which nothing is before, are 0. */
  async judge(
    sequences: readonly ArrayLike<number>[],
    parameters?: Parameters,
  ): Promise<(ReferenceScore & { logprobs: number[] })[]> {
    const feeds = parameters === undefined ? {} : weightFeeds(parameters);
    const results: (ReferenceScore & { logprobs: number[] })[] = sequences.map(() => ({ logprobs: [] }));
    const byLength = sequences
      .map((_, i) => i)
      .sort((a, b) => sequences[b]!.length - sequences[a]!.length || a - b);
    while (byLength.length > 0) {
      const width = Math.max(1, sequences[byLength[0]!]!.length - 1);
      const rows = byLength.splice(0, Math.max(1, Math.floor(this.maxBatchTokens / width)));
      const host = await this.run(
        rows.map((i) => sequences[i]!),
        width,
        feeds,
      );
      rows.forEach((index, row) => {
        results[index] = this.scoreIn(host, row * width, sequences[index]!.length);
      });
    }
    return results;
  }

  release(): Promise<void> {
    return this.program.release();
  }

  private async run(
    sequences: readonly ArrayLike<number>[],
    width: number,
    weights: Record<string, HostTensor>,
  ): Promise<Readonly<Record<string, HostTensor>>> {
    const shape = [sequences.length, width];
    const grid = (value: (sequence: ArrayLike<number>, t: number) => number): HostTensor => {
      const data = new BigInt64Array(sequences.length * width);
      sequences.forEach((sequence, row) => {
        for (let t = 0; t < width; t++) data[row * width + t] = BigInt(value(sequence, t));
      });
      return { dtype: 'int64', shape, data };
    };
    const { host } = await this.program.run({
      ...weights,
      tokens: grid((sequence, t) => sequence[t] ?? 0),
      positions: grid((_, t) => t),
      targets: grid((sequence, t) => sequence[t + 1] ?? 0),
    });
    return host;
  }

  /** The score of a sequence of `length` tokens whose row begins at `start` of [B, T]. */
  private scoreIn(
    host: Readonly<Record<string, HostTensor>>,
    start: number,
    length: number,
  ): ReferenceScore & { logprobs: number[] } {
    const { top } = this;
    const end = start + length - 1;
    const data = host.logprobs!.data as Float32Array;
    const logprobs = length === 0 ? [] : [0, ...data.subarray(start, end)];
    if (top === 0) return { logprobs };
    const tokens = (host.topTokens!.data as BigInt64Array).subarray(start * top, end * top);
    const found = (host.topLogprobs!.data as Float32Array).subarray(start * top, end * top);
    const [tokenIds, ofTop] = [new Int32Array(length * top), new Float32Array(length * top)];
    tokenIds.set(Array.from(tokens, Number), top);
    // A log-prob that rounding lifts above 0 is 0.
    ofTop.set(
      found.map((logprob) => Math.min(0, logprob)),
      top,
    );
    return { logprobs, top: { tokenIds, logprobs: ofTop } };
  }
}
