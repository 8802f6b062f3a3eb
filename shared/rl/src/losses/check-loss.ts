import { ForgeError } from '@forge/errors';
import { dependence, grad, Graph, type Dim, type Tensor } from '@forge/graph';
import { isTensor, lossResult, type Loss, type LossTerms } from './loss';

/**
 * Builds a loss and its gradient as the trainer does, without values: its errors are found before a run begins. `path` is the
 * module it comes from.
 *
 * @throws {ForgeError} CONFIG_LOSS_INVALID naming `path` and the op, shape or metric that does not fit.
 */
export function checkLoss(loss: Loss, path: string): void {
  const terms = symbolicTerms();
  try {
    const { loss: value, metrics } = lossResult(loss(terms));
    checkScalar(value, 'loss');
    for (const [name, metric] of Object.entries(metrics)) checkScalar(metric, `metric '${name}'`);
    checkDependence(value, terms.logprobs);
    grad(value, [terms.logprobs]);
  } catch (error) {
    const { message, details } = ForgeError.from(error);
    throw new ForgeError(
      'CONFIG_LOSS_INVALID',
      `${path}: its loss can't be trained: ${message}`,
      { ...details, path },
      { cause: error },
    );
  }
}

/** The terms of one micro-batch, with shapes but no values. */
function symbolicTerms(): LossTerms {
  const graph = new Graph();
  const input = (name: keyof LossTerms, shape: readonly Dim[]): Tensor => graph.input(name, 'float32', shape);
  const perToken = ['B', 'T'];
  return {
    logprobs: input('logprobs', perToken),
    behaviour: input('behaviour', perToken),
    old: input('old', perToken),
    reference: input('reference', perToken),
    advantages: input('advantages', perToken),
    lag: input('lag', perToken),
    values: input('values', perToken),
    oldValues: input('oldValues', perToken),
    returns: input('returns', perToken),
    mask: input('mask', perToken),
    sequenceIds: input('sequenceIds', ['B']),
    entropy: input('entropy', perToken),
    tokenCount: input('tokenCount', []),
    sequenceCount: input('sequenceCount', []),
  };
}

function checkScalar(value: unknown, what: string): void {
  if (!isTensor(value)) throw invalid(`${what}: found ${typeof value}, expected a scalar tensor`, { what });
  const { dtype, shape } = value;
  if (shape.length === 0 && dtype === 'float32') return;
  const found = `${dtype} [${shape.join(', ')}]`;
  throw invalid(`${what}: found ${found}, expected float32 [], as tokenMean and sequenceMean give`, {
    what,
    dtype,
    shape,
  });
}

function checkDependence(loss: Tensor, logprobs: Tensor): void {
  const { hasGradient, cutBy } = dependence(loss, logprobs);
  if (hasGradient) return;
  const reason =
    cutBy.length === 0
      ? 'it does not use them'
      : `no gradient gets through ${cutBy.join(', ')}, by which alone it uses them`;
  throw invalid(`it does not depend on logprobs: ${reason}`, { cutBy });
}

function invalid(message: string, details: object): ForgeError {
  return new ForgeError('CONFIG_LOSS_INVALID', message, { ...details });
}
