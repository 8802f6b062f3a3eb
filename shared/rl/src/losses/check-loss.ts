import { ForgeError } from '@forge/errors';
import { dependence, grad, Graph, reachable, type Dim, type Tensor } from '@forge/graph';
import type { Algorithm, CriticOptions } from '../algorithms/algorithm';
import { isTensor, lossResult, type Loss, type LossTerms, type TopLogprobs } from './loss';

/** Terms that are zeros unless there is a value model. */
const CRITIC_TERMS = ['values', 'oldValues', 'returns'] as const;

/**
 * Builds the losses of an algorithm and their gradients as the trainer does, without values: errors are found before a run
 * begins. `path` is the module it comes from.
 *
 * @throws {ForgeError} CONFIG_LOSS_INVALID naming `path` and the op, shape or metric that does not fit, or the option of the
 *   critic that is out of bounds.
 */
export function checkLosses(
  { loss, critic, referenceTop }: Pick<Algorithm, 'loss' | 'critic' | 'referenceTop'>,
  path: string,
): void {
  if (critic === null) {
    checkLoss(loss, path, { referenceTop }, (value, terms) => {
      const used = reachable([value]).inputs;
      const foreign = CRITIC_TERMS.find((name) => used.includes(terms[name]));
      if (foreign === undefined) return;
      throw invalid(`it uses ${foreign}, which are zeros: the algorithm has no critic`, { term: foreign });
    });
    return;
  }
  checkLoss(loss, path, { referenceTop });
  const problem = criticProblem(critic);
  if (problem !== null) {
    const message = `${path}: critic.${problem}`;
    throw new ForgeError('CONFIG_LOSS_INVALID', message, { path });
  }
  checkLoss(critic.loss, `${path}: critic`, { of: 'values' });
}

/** Checks one loss, as `checkLosses`; `of` names the term it must have a gradient in. */
export function checkLoss(
  loss: Loss,
  path: string,
  { of = 'logprobs', referenceTop = 0 }: { of?: 'logprobs' | 'values'; referenceTop?: number } = {},
  check: (value: Tensor, terms: LossTerms) => void = () => undefined,
): void {
  const terms = symbolicTerms(referenceTop);
  try {
    const { loss: value, metrics } = lossResult(loss(terms));
    checkScalar(value, 'loss');
    for (const [name, metric] of Object.entries(metrics)) checkScalar(metric, `metric '${name}'`);
    checkDependence(value, terms[of], of);
    check(value, terms);
    grad(value, [terms[of]]);
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

function criticProblem({ gamma, lambda, whitening, learningRate }: CriticOptions): string | null {
  const isShare = (value: number): boolean => value >= 0 && value <= 1;
  if (!isShare(gamma) || gamma === 0) return `gamma: found ${gamma}, expected a number > 0 and <= 1`;
  if (!isShare(lambda)) return `lambda: found ${lambda}, expected a number from 0 to 1`;
  if (!['unbiased', 'population', 'none'].includes(whitening))
    return `whitening: found ${whitening}, expected unbiased, population or none`;
  const isRate = learningRate === null || (Number.isFinite(learningRate) && learningRate > 0);
  return isRate
    ? null
    : `learningRate: found ${learningRate}, expected a number > 0, or null for the policy's`;
}

/** The terms of one micro-batch, with shapes but no values. */
function symbolicTerms(referenceTop: number): LossTerms {
  const graph = new Graph();
  const input = (name: Exclude<keyof LossTerms, 'top'>, shape: readonly Dim[]): Tensor =>
    graph.input(name, 'float32', shape);
  const perToken = ['B', 'T'];
  return {
    logprobs: input('logprobs', perToken),
    behaviour: input('behaviour', perToken),
    old: input('old', perToken),
    reference: input('reference', perToken),
    top: referenceTop === 0 ? null : topTerms(graph, referenceTop),
    advantages: input('advantages', perToken),
    lag: input('lag', perToken),
    values: input('values', perToken),
    oldValues: input('oldValues', perToken),
    returns: input('returns', perToken),
    mask: input('mask', perToken),
    sequenceIds: input('sequenceIds', ['B']),
    rolloutTokens: input('rolloutTokens', ['B']),
    entropy: input('entropy', perToken),
    tokenCount: input('tokenCount', []),
    sequenceCount: input('sequenceCount', []),
    rolloutCount: input('rolloutCount', []),
  };
}

function topTerms(graph: Graph, count: number): TopLogprobs {
  const input = (name: string): Tensor => graph.input(name, 'float32', ['B', 'T', count]);
  return { policy: input('topPolicy'), reference: input('topReference') };
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

function checkDependence(loss: Tensor, term: Tensor, name: string): void {
  const { hasGradient, cutBy } = dependence(loss, term);
  if (hasGradient) return;
  const reason =
    cutBy.length === 0
      ? 'it does not use them'
      : `no gradient gets through ${cutBy.join(', ')}, by which alone it uses them`;
  throw invalid(`it does not depend on ${name}: ${reason}`, { cutBy });
}

function invalid(message: string, details: object): ForgeError {
  return new ForgeError('CONFIG_LOSS_INVALID', message, { ...details });
}
