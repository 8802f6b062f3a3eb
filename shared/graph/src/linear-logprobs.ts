import { shapeError, type Dim } from './dim';
import { innermost, type Graph, type Operand, type Tensor } from './graph';
import { crossEntropy } from './cross-entropy';
import { add, cast, equal, log, maximum, mul } from './elementwise';
import { composite } from './gradient';
import { reshape, zeros } from './layout';
import { matmul } from './matmul';
import { overChunks } from './row-chunks';

export interface LinearLogprobsOptions {
  /** Rows whose logits exist at a time. */
  chunk: number;
  /** Logits are divided by it. */
  temperature?: number;
  /** Keep an [N, V] tensor of the forward pass for the backward one: more memory for one product less, and no chunks. */
  keep?: boolean;
}

/**
 * Log-probs of one target per row under softmax(x weightᵀ / temperature), and the entropy of that distribution. Unless told
 * to keep them, forward and backward pass hold the logits of `chunk` rows at
 * a time, so that memory does not grow with rows times vocabulary.
 *
 * Shapes: x [N, D], weight [V, D], targets int64 [N] -> logprobs [N], entropy [N].
 */
export function linearLogprobs(
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  options: LinearLogprobsOptions,
): { logprobs: Tensor; entropy: Tensor } {
  const { chunk, temperature = 1 } = options;
  if (typeof weight.shape[0] !== 'number')
    throw shapeError('linearLogprobs', 'needs a known vocabulary', [weight.shape]);
  if (
    x.rank !== 2 ||
    weight.rank !== 2 ||
    x.shape[1] !== weight.shape[1] ||
    targets.shape[0] !== x.shape[0]
  ) {
    throw shapeError('linearLogprobs', 'needs x [N, D], weight [V, D], targets [N]', [
      x.shape,
      weight.shape,
      targets.shape,
    ]);
  }
  const graph = innermost([x, weight, targets]);
  const inverse = 1 / temperature;
  if (options.keep === true) return keeping(graph, x, weight, targets, inverse);
  const [logprobs, entropy] = composite(
    graph,
    [x, weight],
    () => forward(x, weight, targets, chunk, inverse),
    ([dy, dEntropy], wanted) =>
      dy || dEntropy
        ? backwardPass(
            x,
            weight,
            targets,
            { logprobs: dy ?? null, entropy: dEntropy ?? null },
            { chunk, inverse, isFrozen: !wanted(1) },
          )
        : [null, null],
  );
  return { logprobs: logprobs!, entropy: entropy! };
}

/** One cross-entropy over all rows, whose residual the backward pass multiplies. */
function keeping(
  graph: Graph,
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  inverse: number,
): { logprobs: Tensor; entropy: Tensor } {
  let found: ReturnType<typeof crossEntropy>;
  const [logprobs, entropy] = composite(
    graph,
    [x, weight],
    () => {
      found = crossEntropy(matmul(scaled(x, inverse), weight, { transposeB: true }), targets);
      return [found.logprobs, found.entropy];
    },
    ([dy, dEntropy]) => {
      if (!dy && !dEntropy) return [null, null];
      const incoming = { logprobs: dy ?? null, entropy: dEntropy ?? null };
      return headGradients(x, weight, { ...found, targets }, incoming, inverse);
    },
  );
  return { logprobs: logprobs!, entropy: entropy! };
}

/** The gradients that come to log-probs and entropies, [N]; null where none does. */
interface Incoming {
  logprobs: Tensor | null;
  entropy: Tensor | null;
}

interface Distributions {
  entropy: Tensor;
  residual: Tensor;
  targets: Tensor;
}

/**
 * The gradients of x and weight. Without one of the entropies the factor of each row goes to the narrow tensors: the wide
 * residual is only multiplied.
 */
function headGradients(
  x: Tensor,
  weight: Tensor,
  found: Distributions,
  { logprobs, entropy }: Incoming,
  inverse: number,
): [Tensor, Tensor] {
  const rows = x.shape[0]!;
  if (entropy === null) {
    return spreadOut(x, weight, found.residual, mul(column(logprobs!, rows), -inverse));
  }
  const ofEntropy = mul(entropySlope(found, rows), column(entropy, rows));
  const ofBoth = logprobs === null ? ofEntropy : add(mul(found.residual, column(logprobs, rows)), ofEntropy);
  return spreadOut(x, weight, ofBoth, -inverse);
}

/** The gradients of x and weight from those of the logits, [N, V], each row times its `factor`, [N, 1]. */
function spreadOut(x: Tensor, weight: Tensor, wide: Tensor, factor: Operand): [Tensor, Tensor] {
  return [mul(matmul(wide, weight), factor), matmul(wide, mul(x, factor), { transposeA: true })];
}

/** Shares below it count as it in a logarithm that they multiply. */
const SMALLEST_SHARE = 1e-30;

/** The derivative of the negated entropy by the logits: p (ln p + entropy). Shapes: [N, V]. */
function entropySlope({ entropy, residual, targets }: Distributions, rows: Dim): Tensor {
  const width = residual.shape[1] as number;
  const ids = BigInt64Array.from({ length: width }, (_, i) => BigInt(i));
  const all = residual.graph.constant(ids, [1, width], 'int64');
  const hit = cast(equal(all, reshape(targets, [rows, 1])), 'float32');
  const share = add(residual, hit);
  return mul(share, add(log(maximum(share, SMALLEST_SHARE)), column(entropy, rows)));
}

function forward(x: Tensor, weight: Tensor, targets: Tensor, chunk: number, inverse: number): Tensor[] {
  const { rows } = overChunks([scaled(x, inverse), targets], { chunk }, ([part, own]) => {
    const { logprobs, entropy } = crossEntropy(matmul(part!, weight, { transposeB: true }), own!);
    return { rows: [logprobs, entropy] };
  });
  return [...rows];
}

function backwardPass(
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  { logprobs, entropy }: Incoming,
  { chunk, inverse, isFrozen }: { chunk: number; inverse: number; isFrozen: boolean },
): [Tensor, Tensor | null] {
  // The gradient of a frozen weight would be carried, chunk by chunk, for nobody.
  const first = isFrozen ? [] : [zeros(weight.graph, weight.shape)];
  const incoming = [logprobs, entropy].filter((dy) => dy !== null);
  const { state, rows } = overChunks(
    [x, targets, ...incoming],
    { chunk, state: first },
    ([part, own, ...given], [dWeight]) => {
      const logits = matmul(scaled(part!, inverse), weight, { transposeB: true });
      const found = { ...crossEntropy(logits, own!), targets: own! };
      const here = {
        logprobs: logprobs && given[0]!,
        entropy: entropy && given.at(-1)!,
      };
      const [dRows, addend] = headGradients(part!, weight, found, here, inverse);
      return { state: dWeight === undefined ? [] : [add(dWeight, addend)], rows: [dRows] };
    },
  );
  return [rows[0]!, state[0] ?? null];
}

const column = (x: Tensor, rows: Dim): Tensor => reshape(x, [rows, 1]);
const scaled = (x: Tensor, factor: number): Tensor => (factor === 1 ? x : mul(x, factor));
