import type { Episode, Worth } from '@forge/contracts';
import type { VarianceEstimator } from '../advantages/statistics';
import { policyMetrics } from '../losses/policy-metrics';
import { maskPadding } from '../losses/mask-padding';
import { lossResult, type Loss, type LossResult, type LossTerms } from '../losses/loss';
import { defaultRollout, type Rollout } from '../rollouts/rollout';

/**
 * The rewards of a group (after shaping) and its episodes, to the worth of each. Runs where groups are buffered. A rollout of
 * several parts is one episode here, as `wholeRollouts` makes it.
 */
export type Advantage = (rewards: readonly number[], episodes: readonly Episode[]) => Worth[];

/**
 * A group as a batch-level second stage sees it.
 *
 * Shapes: all [G], by rollouts; `tokens` counts those the policy chose, 0 of a rollout that is not trained on.
 */
export interface JudgedGroup {
  /** Rewards after shaping. */
  rewards: readonly number[];
  advantages: readonly Worth[];
  tokens: readonly number[];
}

/** A value model that is learnt beside the policy. Its values turn rewards into advantages in the trainer. */
export interface CriticOptions {
  /** Discount per token. */
  gamma: number;
  /** Weight of longer returns in GAE: 0 trusts the values alone, 1 the rewards alone. */
  lambda: number;
  /** Advantages of a batch are brought to mean 0 and standard deviation 1 over its tokens, by which variance. */
  whitening: VarianceEstimator | 'none';
  /** Learning rate of the value model's own optimizer; null for the policy's. */
  learningRate: number | null;
  /** The value model's loss, of `values`, `oldValues` and `returns`; its `logprobs` are `old`, and entropy is 0. */
  loss: Loss;
}

/** A way for a policy to learn: the source of episodes, their worth, and the loss to minimise. */
export interface Algorithm {
  name: string;
  rollout: Rollout;
  /** The rewards of a group that advantages are made from: length penalties, per-component normalisation. */
  shape: (episodes: readonly Episode[]) => number[];
  advantage: Advantage;
  /** Second stage, over the groups of a whole batch: whitening, global baselines. The batch carries its result. */
  acrossBatch: (groups: readonly JudgedGroup[]) => Worth[][];
  /** The loss and its metrics, safe on padding; `finishMetrics` turns the batch's sums into those shown. */
  loss: (terms: LossTerms) => Required<LossResult>;
  /**
   * Set when advantages need a value model: the trainer takes the worth of an episode as its reward then, a number as one at
   * its last token.
   */
  critic: CriticOptions | null;
  /** Set when episodes must carry the log-probs of the reference model. */
  needsReference: boolean;
  /** Tokens of the reference's distribution that episodes must carry in each place, the likeliest ones; 0: none. */
  referenceTop: number;
  /** True for a group worth a place in the batch, which dynamic sampling prefers. */
  isInformative: (rewards: readonly number[], advantages: readonly Worth[]) => boolean;
}

/** The parts an author writes; the rest has defaults. */
export interface AlgorithmDefinition {
  name?: string;
  rollout?: Rollout;
  shape?: Algorithm['shape'];
  advantage: Advantage;
  acrossBatch?: Algorithm['acrossBatch'];
  loss: Loss;
  critic?: CriticOptions | null;
  needsReference?: boolean;
  /** Above 0 it needs the reference, too. */
  referenceTop?: number;
  isInformative?: Algorithm['isInformative'];
}

/** Default export of a user's algorithm module: `options` are those of the recipe. */
export type AlgorithmFactory = (options: Record<string, unknown>) => Algorithm;

/** Defaults of an algorithm's stages: each episode's reward as it is, and advantages that no second stage changes. */
export const defaultStages: Pick<Algorithm, 'shape' | 'acrossBatch'> = {
  shape: (episodes) => episodes.map(({ reward }) => reward),
  acrossBatch: (groups) => groups.map(({ advantages }) => [...advantages]),
};

/** A group whose advantages are all 0 has no gradient. */
const hasGradient: Algorithm['isInformative'] = (_rewards, advantages) =>
  advantages.some((worth) => (typeof worth === 'number' ? worth !== 0 : worth.some((a) => a !== 0)));

/**
 * An algorithm from its parts: the default rollout generates and scores, rewards and advantages are taken as they are, a
 * group is informative when some advantage is not 0. Its losses see zeros wherever the mask is 0, and the policy's gets the
 * metrics every algorithm has.
 */
export function defineAlgorithm(definition: AlgorithmDefinition): Algorithm {
  const { name = 'custom', critic = null, referenceTop = 0 } = definition;
  const needsReference = (definition.needsReference ?? false) || referenceTop > 0;
  return {
    ...{ name, needsReference, referenceTop },
    // The parts are called on the definition, which may be of a class.
    rollout: definition.rollout?.bind(definition) ?? defaultRollout,
    shape: definition.shape?.bind(definition) ?? defaultStages.shape,
    advantage: (rewards, episodes) => definition.advantage(rewards, episodes),
    acrossBatch: definition.acrossBatch?.bind(definition) ?? defaultStages.acrossBatch,
    isInformative: definition.isInformative?.bind(definition) ?? hasGradient,
    critic: critic && { ...critic, loss: (terms) => critic.loss(maskPadding(terms)) },
    loss(rawTerms) {
      const terms = maskPadding(rawTerms);
      const { loss: value, metrics } = lossResult(definition.loss(terms));
      return { loss: value, metrics: { ...policyMetrics(terms, { needsReference }), ...metrics } };
    },
  };
}
