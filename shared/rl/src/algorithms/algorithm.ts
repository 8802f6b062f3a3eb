import { policyMetrics } from '../losses/policy-metrics';
import { maskPadding } from '../losses/mask-padding';
import { lossResult, type Loss, type LossResult, type LossTerms } from '../losses/loss';
import { defaultRollout, type Rollout } from '../rollouts/rollout';

/** The rewards of a group to one advantage per episode. */
export type Advantage = (rewards: readonly number[]) => number[];

/** A way for a policy to learn: the source of episodes, their worth, and the loss to minimise. */
export interface Algorithm {
  name: string;
  rollout: Rollout;
  advantage: Advantage;
  /** The loss and its metrics, safe on padding; `finishMetrics` turns the batch's sums into those shown. */
  loss: (terms: LossTerms) => Required<LossResult>;
  /** Set when episodes must carry the log-probs of the reference model. */
  needsReference: boolean;
  /** True for a group worth a place in the batch, which dynamic sampling prefers. */
  isInformative: (rewards: readonly number[], advantages: readonly number[]) => boolean;
}

/** The parts an author writes; the rest has defaults. */
export interface AlgorithmDefinition {
  name?: string;
  rollout?: Rollout;
  advantage: Advantage;
  loss: Loss;
  needsReference?: boolean;
  isInformative?: Algorithm['isInformative'];
}

/** Default export of a user's algorithm module: `options` are those of the recipe. */
export type AlgorithmFactory = (options: Record<string, unknown>) => Algorithm;

/** A group whose advantages are all 0 has no gradient. */
const hasGradient: Algorithm['isInformative'] = (_rewards, advantages) => advantages.some((a) => a !== 0);

/**
 * An algorithm from its parts: the default rollout generates and scores, a group is informative when some advantage
 * is not 0. Its loss sees zeros wherever the mask is 0, and gets the metrics every algorithm has.
 */
export function defineAlgorithm(definition: AlgorithmDefinition): Algorithm {
  const { name = 'custom', needsReference = false } = definition;
  return {
    name,
    needsReference,
    // The parts are called on the definition, which may be of a class.
    rollout: definition.rollout?.bind(definition) ?? defaultRollout,
    advantage: (rewards) => definition.advantage(rewards),
    isInformative: definition.isInformative?.bind(definition) ?? hasGradient,
    loss(rawTerms) {
      const terms = maskPadding(rawTerms);
      const { loss: value, metrics } = lossResult(definition.loss(terms));
      return { loss: value, metrics: { ...policyMetrics(terms, { needsReference }), ...metrics } };
    },
  };
}
