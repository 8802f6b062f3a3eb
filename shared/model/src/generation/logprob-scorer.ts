import type { Engine, HostTensor, Program } from '@forge/engine';
import { Graph, linearLogprobs, reshape } from '@forge/graph';
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
}

/** Log-probs of given sequences (teacher forcing). */
export class LogprobScorer {
  private constructor(
    private readonly program: Program,
    private readonly maxBatchTokens: number,
  ) {}

  static async create(options: LogprobScorerOptions): Promise<LogprobScorer> {
    const {
      config,
      parameters,
      temperature = 1,
      logitsChunk = 1024,
      weightMode: mode = 'initializers',
      base,
    } = options;
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
    const { logprobs } = linearLogprobs(hidden, head, reshape(targets, [-1]), {
      chunk: logitsChunk,
      temperature,
    });
    return new LogprobScorer(await options.engine.compile({ logprobs }), options.maxBatchTokens);
  }

  /**
   * The log-prob of every token given the tokens before it; 0 for the first. With `weightMode` 'inputs' every call says
   * under which `parameters`.
   *
   * Shapes: each sequence [T] -> its log-probs [T].
   */
  async score(sequences: readonly ArrayLike<number>[], parameters?: Parameters): Promise<number[][]> {
    const feeds = parameters === undefined ? {} : weightFeeds(parameters);
    const results: number[][] = sequences.map(() => []);
    const byLength = sequences
      .map((_, i) => i)
      .sort((a, b) => sequences[b]!.length - sequences[a]!.length || a - b);
    while (byLength.length > 0) {
      const width = Math.max(1, sequences[byLength[0]!]!.length - 1);
      const rows = byLength.splice(0, Math.max(1, Math.floor(this.maxBatchTokens / width)));
      const data = await this.run(
        rows.map((i) => sequences[i]!),
        width,
        feeds,
      );
      rows.forEach((index, row) => {
        const count = Math.max(0, sequences[index]!.length - 1);
        results[index] = [0, ...data.subarray(row * width, row * width + count)].slice(
          0,
          sequences[index]!.length,
        );
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
  ): Promise<Float32Array> {
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
    return host.logprobs!.data as Float32Array;
  }
}
