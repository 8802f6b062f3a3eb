import { evaluate, grad, Graph, type Values } from '@forge/graph';
import { lossResult, type Loss, type LossTerms } from './loss';

/**
 * A micro-batch; terms left out are 0, the mask 1, `old` is `logprobs`, the counts and ids those of this micro-batch, each
 * sequence a rollout.
 */
export interface LossCase {
  logprobs: number[][];
  behaviour?: number[][];
  old?: number[][];
  reference?: number[][];
  lag?: number[][];
  values?: number[][];
  oldValues?: number[][];
  returns?: number[][];
  sequenceIds?: number[];
  /** One per sequence, or one per token. */
  advantages: (number | number[])[];
  mask?: number[][];
  entropy?: number[][];
  tokenCount?: number;
  sequenceCount?: number;
  rolloutTokens?: number[];
  rolloutCount?: number;
}

interface LossValues {
  loss: number;
  metrics: Record<string, number>;
  /** d loss / d logprobs, [B][T]; d loss / d values for a critic's loss. */
  gradient: number[][];
}

type Term = Exclude<keyof LossTerms, 'top'>;

/** Loss, metrics and gradient of a case by the graph's reference interpreter; `of`: the term the gradient is for. */
export function evaluateLoss(
  loss: Loss,
  lossCase: LossCase,
  of: 'logprobs' | 'values' = 'logprobs',
): LossValues {
  const feeds = feedsOf(lossCase);
  const graph = new Graph();
  const input = (name: Term, shape: string[]) => graph.input(name, 'float32', shape);
  const terms: LossTerms = {
    logprobs: input('logprobs', ['B', 'T']),
    behaviour: input('behaviour', ['B', 'T']),
    old: input('old', ['B', 'T']),
    reference: input('reference', ['B', 'T']),
    top: null,
    advantages: input('advantages', ['B', 'T']),
    lag: input('lag', ['B', 'T']),
    values: input('values', ['B', 'T']),
    oldValues: input('oldValues', ['B', 'T']),
    returns: input('returns', ['B', 'T']),
    mask: input('mask', ['B', 'T']),
    sequenceIds: input('sequenceIds', ['B']),
    rolloutTokens: input('rolloutTokens', ['B']),
    entropy: input('entropy', ['B', 'T']),
    tokenCount: input('tokenCount', []),
    sequenceCount: input('sequenceCount', []),
    rolloutCount: input('rolloutCount', []),
  };
  const { loss: value, metrics } = lossResult(loss(terms));
  const [gradient] = grad(value, [terms[of]]);
  const values: Record<string, Values> = evaluate(
    { ...metrics, '#loss': value, '#gradient': gradient! },
    feeds,
  );
  const scalar = (name: string) => {
    expect(values[name]!.shape).toEqual([]);
    return values[name]!.data[0]!;
  };
  const width = lossCase.logprobs[0]!.length;
  const flat = [...values['#gradient']!.data];
  return {
    loss: scalar('#loss'),
    metrics: Object.fromEntries(Object.keys(metrics).map((name) => [name, scalar(name)])),
    gradient: lossCase.logprobs.map((_, b) => flat.slice(b * width, (b + 1) * width)),
  };
}

/** d loss / d logprobs, or values, by central differences. */
export function finiteDifferences(
  loss: Loss,
  lossCase: LossCase,
  step = 1e-6,
  of: 'logprobs' | 'values' = 'logprobs',
): number[][] {
  const at = (b: number, t: number, delta: number) => {
    const moved = lossCase[of]!.map((row) => [...row]);
    moved[b]![t]! += delta;
    return evaluateLoss(loss, { old: lossCase.logprobs, ...lossCase, [of]: moved }, of).loss;
  };
  return lossCase.logprobs.map((row, b) =>
    row.map((_, t) => (at(b, t, step) - at(b, t, -step)) / (2 * step)),
  );
}

function feedsOf(lossCase: LossCase): Record<Term, Values> {
  const { logprobs, advantages } = lossCase;
  const shape = [logprobs.length, logprobs[0]!.length];
  const fill = (value: number) => logprobs.map((row) => row.map(() => value));
  const mask = lossCase.mask ?? fill(1);
  const matrix = (rows: number[][] = fill(0)): Values => ({ shape, data: Float64Array.from(rows.flat()) });
  const scalar = (value: number): Values => ({ shape: [], data: Float64Array.of(value) });
  return {
    logprobs: matrix(logprobs),
    behaviour: matrix(lossCase.behaviour),
    old: matrix(lossCase.old ?? logprobs),
    reference: matrix(lossCase.reference),
    lag: matrix(lossCase.lag),
    values: matrix(lossCase.values),
    oldValues: matrix(lossCase.oldValues),
    returns: matrix(lossCase.returns),
    sequenceIds: {
      shape: [logprobs.length],
      data: Float64Array.from(lossCase.sequenceIds ?? logprobs.keys()),
    },
    advantages: matrix(
      logprobs.map((row, b) => {
        const advantage = advantages[b]!;
        return typeof advantage === 'number' ? row.map(() => advantage) : advantage;
      }),
    ),
    mask: matrix(mask),
    entropy: matrix(lossCase.entropy),
    tokenCount: scalar(lossCase.tokenCount ?? mask.flat().reduce((a, b) => a + b, 0)),
    sequenceCount: scalar(lossCase.sequenceCount ?? logprobs.length),
    rolloutTokens: {
      shape: [logprobs.length],
      data: Float64Array.from(lossCase.rolloutTokens ?? mask.map((row) => row.reduce((a, b) => a + b, 0))),
    },
    rolloutCount: scalar(lossCase.rolloutCount ?? lossCase.sequenceCount ?? logprobs.length),
  };
}

/** Equal up to the rounding of the graph's float32 constants such as 0.1. */
export function expectClose(actual: number, expected: number): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-7 * Math.max(1e-2, Math.abs(expected)));
}

export function expectMatrixClose(actual: number[][], expected: number[][], tolerance: number): void {
  expect(actual.map((row) => row.length)).toEqual(expected.map((row) => row.length));
  const difference = actual.flatMap((row, b) => row.map((x, t) => Math.abs(x - expected[b]![t]!)));
  expect(Math.max(...difference)).toBeLessThanOrEqual(tolerance);
}

/** The two sequences of the last golden case of torchforge's loss. */
export const goldenCase = {
  logprobs: [
    [-1, -2, -0.5, -1.5],
    [-0.7, -1.2, -2.2, -0.1],
  ],
  reference: [
    [-1.1, -1.5, -0.5, -2],
    [-0.9, -1, -2, -0.3],
  ],
  advantages: [1, -0.5],
  mask: [
    [1, 1, 1, 0],
    [1, 1, 0, 0],
  ],
} satisfies LossCase;
