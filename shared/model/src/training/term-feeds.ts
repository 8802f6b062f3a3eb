import type { HostTensor } from '@forge/engine';
import type { MicroBatch } from './micro-batches';

/** The counts of the minibatch, and the version it is trained at. */
export interface TermCounts {
  tokens: number;
  sequences: number;
  rollouts: number;
  version: number;
}

/** The inputs of a train graph besides parameters: tokens, and the terms of the loss. */
export function termFeeds(batch: MicroBatch, counts: TermCounts): Record<string, HostTensor> {
  const { rows, width, distinct } = batch;
  const floats = (data: Float32Array, shape: readonly number[]): HostTensor => ({
    dtype: 'float32',
    shape,
    data,
  });
  const grid = (data: Float32Array): HostTensor => floats(data, [rows, width]);
  const scalar = (value: number): HostTensor => floats(Float32Array.of(value), []);
  const indices = (data: BigInt64Array, shape: readonly number[]): HostTensor => ({
    dtype: 'int64',
    shape,
    data,
  });
  const trained = batch.targets.length;
  const { top } = batch;
  return {
    tokens: indices(batch.tokens, [distinct, width]),
    positions: indices(positions(distinct, width), [distinct, width]),
    rowOf: indices(batch.rowOf, [rows]),
    trainedPositions: indices(batch.trainedPositions, [trained]),
    trainedIndex: indices(batch.trainedIndex, [distinct, width]),
    targets: indices(batch.targets, [trained]),
    behaviour: grid(batch.behaviour),
    old: grid(batch.old),
    reference: grid(batch.reference),
    ...(top !== null && {
      topTokens: indices(top.tokens, [trained, top.count]),
      topReference: floats(top.logprobs, [trained, top.count]),
    }),
    advantages: grid(batch.advantages),
    lag: grid(lags(batch, counts.version)),
    values: grid(batch.values),
    oldValues: grid(batch.oldValues),
    returns: grid(batch.returns),
    mask: grid(batch.mask),
    sequenceIds: floats(Float32Array.from(batch.episodes), [rows]),
    rolloutTokens: floats(batch.rolloutTokens, [rows]),
    tokenCount: scalar(counts.tokens),
    sequenceCount: scalar(counts.sequences),
    rolloutCount: scalar(counts.rollouts),
  };
}

/** Versions between `version` and the one that produced each token; 0 where none did. */
function lags({ versions }: MicroBatch, version: number): Float32Array {
  return Float32Array.from(versions, (produced) => (produced < 0 ? 0 : Math.max(0, version - produced)));
}

function positions(rows: number, width: number): BigInt64Array {
  return BigInt64Array.from({ length: rows * width }, (_, at) => BigInt(at % width));
}
