import type { Engine } from '@forge/engine';
import { generalizedAdvantage, whitenChosen, type CriticOptions } from '@forge/rl';
import type { Parameters, Tensors } from '@forge/weights';
import type { ModelConfig } from '../transformer/model-config';
import type { OptimizerState } from './adamw';
import { Learner, type Watch } from './learner';
import type { MicroBatch } from './micro-batches';
import type { OptimizerOptions } from './optimizer';
import { buildValueGraph, valueParameters } from './value-graph';

/** A value model that is learnt beside the policy, and turns the rewards of a batch into advantages. */
export class Critic {
  private constructor(
    readonly learner: Learner,
    private readonly options: CriticOptions,
  ) {}

  /** A value model that starts with the parameters of the policy. */
  static async create(
    critic: CriticOptions,
    options: {
      engine: Engine;
      config: ModelConfig;
      parameters: Parameters;
      optimizer: OptimizerOptions;
      recompute: boolean;
    },
  ): Promise<Critic> {
    const { engine, config, optimizer, recompute } = options;
    const parameters = valueParameters(config, options.parameters);
    const outputs = buildValueGraph(parameters, { config, critic, recompute });
    return new Critic(await Learner.create({ engine, parameters, outputs, optimizer, looks: true }), critic);
  }

  /** The learning rate where the policy's is `policyRate` of a peak `policyPeak`: the same course, with its own peak. */
  learningRate(policyRate: number, policyPeak: number): number {
    const { learningRate } = this.options;
    return learningRate === null ? policyRate : (policyRate * learningRate) / policyPeak;
  }

  /**
   * Fills in what the values say of a batch before its first update: `oldValues`, `returns`, and `advantages` in place of the
   * rewards that were there. The share of the returns' variance that the values explain.
   */
  async judge(microBatches: readonly MicroBatch[], watch: Watch): Promise<number> {
    for (const batch of microBatches) {
      batch.oldValues = await this.learner.look(batch, watch);
      batch.values = batch.oldValues;
      batch.returns = new Float32Array(batch.oldValues.length);
    }
    for (const rows of rolloutsIn(microBatches)) estimate(rows, this.options);
    const { whitening } = this.options;
    if (whitening !== 'none') {
      const rows = microBatches.map(({ advantages, mask }) => ({ values: advantages, mask }));
      const whitened = whitenChosen(rows, whitening);
      microBatches.forEach((batch, i) => {
        batch.advantages.set(whitened[i]!);
      });
    }
    return explainedVariance(microBatches);
  }

  state(): Required<OptimizerState>['critic'] {
    const { firstMoments, secondMoments } = this.learner.optimizer.state();
    return { parameters: this.learner.optimizer.parameters(), firstMoments, secondMoments };
  }

  /** @throws {ForgeError} SHAPE_MISMATCH when the state has no value model, or another one. */
  checkState(state: OptimizerState['critic']): void {
    const none: Tensors = new Map();
    this.learner.checkShapes('critic: parameter', state?.parameters ?? none);
    this.learner.checkShapes('critic: first moment of', state?.firstMoments ?? none);
    this.learner.checkShapes('critic: second moment of', state?.secondMoments ?? none);
  }

  /** Goes on from a state that has been checked, after so many updates. */
  restore(updates: number, { parameters, ...moments }: Required<OptimizerState>['critic']): Promise<void> {
    return this.learner.optimizer.restore({ step: updates, ...moments }, parameters);
  }
}

/** A row of a micro-batch: an episode. */
interface Row {
  batch: MicroBatch;
  episode: number;
  at: number;
}

/** The rows of each rollout, in the order of its parts, whatever micro-batches they are in. */
function rolloutsIn(microBatches: readonly MicroBatch[]): Row[][] {
  const rollouts = new Map<number, Row[]>();
  for (const batch of microBatches)
    batch.rollouts.forEach((rollout, row) => {
      const rows = rollouts.get(rollout) ?? [];
      rows.push({ batch, episode: batch.episodes[row]!, at: row * batch.width });
      rollouts.set(rollout, rows);
    });
  return [...rollouts.values()].map((rows) => rows.sort((a, b) => a.episode - b.episode));
}

/** Fills in advantages, in place of rewards, and returns of a rollout: one course of time through all its parts. */
function estimate(rows: readonly Row[], options: CriticOptions): void {
  const joined = (field: 'advantages' | 'oldValues' | 'mask'): number[] =>
    rows.flatMap(({ batch, at }) => [...batch[field].subarray(at, at + batch.width)]);
  const { advantages, returns } = generalizedAdvantage(
    { rewards: joined('advantages'), values: joined('oldValues'), mask: joined('mask') },
    options,
  );
  let start = 0;
  for (const { batch, at } of rows) {
    const end = start + batch.width;
    batch.advantages.set(advantages.subarray(start, end), at);
    batch.returns.set(returns.subarray(start, end), at);
    start = end;
  }
}

/** 1 - var(returns - values) / var(returns): 1 for values that know the returns, 0 for a constant. Edge: equal returns -> 0. */
function explainedVariance(microBatches: readonly MicroBatch[]): number {
  const chosen = (value: (batch: MicroBatch, at: number) => number): number[] =>
    microBatches.flatMap((batch) =>
      [...batch.mask.keys()].filter((at) => batch.mask[at] === 1).map((at) => value(batch, at)),
    );
  const all = variance(chosen(({ returns }, at) => returns[at]!));
  const left = variance(chosen(({ returns, oldValues }, at) => returns[at]! - oldValues[at]!));
  return all > 0 ? 1 - left / all : 0;
}

function variance(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
}
