import type { Engine, HostTensor, Program } from '@forge/engine';
import { gather, Graph, reshape, type Tensor } from '@forge/graph';
import type { Parameters } from '@forge/weights';
import { weightSource } from '../adapter/weight-source';
import type { ModelConfig } from '../transformer/model-config';
import { scalarHead, transformer } from '../transformer/transformer';

export interface SequenceScorerOptions {
  engine: Engine;
  /** A model with a scalar head. */
  config: ModelConfig;
  parameters: Parameters;
  /** The token that does not count at the end of a sequence; null: all do. */
  padTokenId: number | null;
  /** Padded tokens of one forward pass at most; a longer sequence goes alone. */
  maxBatchTokens: number;
}

/** Outputs that a row is asked for: one alone would be another kind of product, with other last bits. */
const SELECTED = 2;

/** Scores of whole sequences by a model with a scalar head. */
export class SequenceScorer {
  private constructor(
    private readonly program: Program,
    private readonly options: Pick<SequenceScorerOptions, 'padTokenId' | 'maxBatchTokens'>,
  ) {}

  static async create(options: SequenceScorerOptions): Promise<SequenceScorer> {
    const { engine, config, parameters } = options;
    const graph = new Graph();
    const weights = weightSource(graph, parameters, 'initializers');
    const tokens = graph.input('tokens', 'int64', ['B', 'T']);
    const positions = graph.input('positions', 'int64', ['B', 'T']);
    const selected = graph.input('selected', 'int64', ['N']);
    const select = (x: Tensor): Tensor => gather(reshape(x, [-1, x.shape.at(-1)!]), selected);
    const scores = scalarHead(transformer(config, weights, { tokens, positions, select }), weights);
    return new SequenceScorer(await engine.compile({ scores }), options);
  }

  /**
   * The score of each sequence: that of its last token that is no padding. By onnxruntime on a CPU it is the same to the bit
   * whatever else is scored in the call.
   *
   * Shapes: sequences [N][T], T > 0 -> [N].
   * Edge: padding alone is scored at its first token.
   *
   * @see GenericForSequenceClassification of transformers
   */
  async score(sequences: readonly ArrayLike<number>[]): Promise<number[]> {
    const scores: number[] = [];
    const byWidth = new Map<number, number[]>();
    sequences.forEach(({ length }, i) => {
      const width = paddedWidth(length);
      byWidth.set(width, [...(byWidth.get(width) ?? []), i]);
    });
    for (const [width, indices] of byWidth) {
      const rows = Math.max(1, Math.floor(this.options.maxBatchTokens / width));
      for (let at = 0; at < indices.length; at += rows) {
        const batch = indices.slice(at, at + rows);
        const found = await this.run(
          batch.map((i) => sequences[i]!),
          width,
        );
        batch.forEach((index, row) => {
          scores[index] = found[row * SELECTED]!;
        });
      }
    }
    return scores;
  }

  release(): Promise<void> {
    return this.program.release();
  }

  private async run(sequences: readonly ArrayLike<number>[], width: number): Promise<Float32Array> {
    const shape = [sequences.length, width];
    const grid = (value: (sequence: ArrayLike<number>, t: number) => number): HostTensor => {
      const data = new BigInt64Array(sequences.length * width);
      sequences.forEach((sequence, row) => {
        for (let t = 0; t < width; t++) data[row * width + t] = BigInt(value(sequence, t));
      });
      return { dtype: 'int64', shape, data };
    };
    const selected = sequences.flatMap((sequence, row) => [
      row * width + this.lastToken(sequence),
      row * width,
    ]);
    const { host } = await this.program.run({
      tokens: grid((sequence, t) => sequence[t] ?? 0),
      positions: grid((_, t) => t),
      selected: { dtype: 'int64', shape: [selected.length], data: BigInt64Array.from(selected, BigInt) },
    });
    return host.scores!.data as Float32Array;
  }

  private lastToken(sequence: ArrayLike<number>): number {
    let last = sequence.length - 1;
    while (last > 0 && sequence[last] === this.options.padTokenId) last -= 1;
    return last;
  }
}

/**
 * The width that a sequence is padded to, its own whatever it is batched with: the least of 16, 24, 32, 48, 64, 96, ... that
 * holds it.
 */
function paddedWidth(length: number): number {
  const power = 2 ** Math.ceil(Math.log2(Math.max(16, length)));
  return length <= 0.75 * power && power > 16 ? 0.75 * power : power;
}
