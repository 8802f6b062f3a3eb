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
      for (const { at, rewards, values, mask } of rowsOf(batch)) {
        const estimates = generalizedAdvantage({ rewards, values, mask }, this.options);
        batch.advantages.set(estimates.advantages, at);
        batch.returns.set(estimates.returns, at);
      }
    }
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

/** The rows of a micro-batch, and where each begins. */
function rowsOf({ rows, width, advantages, oldValues, mask }: MicroBatch) {
  return Array.from({ length: rows }, (_, row) => {
    const at = row * width;
    const part = (values: Float32Array): Float32Array => values.slice(at, at + width);
    return { at, rewards: part(advantages), values: part(oldValues), mask: part(mask) };
  });
}

/** 1 - var(returns - values) / var(returns): 1 for values that know the returns, 0 for a constant. Edge: equal returns -> 0. */
function explainedVariance(microBatches: readonly MicroBatch[]): number {
  const chosen = (value: (batch: MicroBatch, at: number) => number): number[] =>
    microBatches.flatMap((batch) =>
      Array.from(batch.trainedPositions, (position) => value(batch, Number(position))),
    );
  const all = variance(chosen(({ returns }, at) => returns[at]!));
  const left = variance(chosen(({ returns, oldValues }, at) => returns[at]! - oldValues[at]!));
  return all > 0 ? 1 - left / all : 0;
}

function variance(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
}
