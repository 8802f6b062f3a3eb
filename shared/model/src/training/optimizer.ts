import type { AnyTensor, DeviceTensor, Engine, HostTensor } from '@forge/engine';
import type { Parameters, Tensors } from '@forge/weights';
import type { AdamWOptions, OptimizerState } from './adamw';
import { DeviceOptimizer } from './device-optimizer';
import { HostOptimizer } from './host-optimizer';
import type { LearningRateSchedule } from './learning-rate';

export interface OptimizerOptions extends AdamWOptions, LearningRateSchedule {
  /** Gradients are scaled down to this global norm when they exceed it; Infinity never scales. */
  maxGradientNorm: number;
}

/** Gradients of one micro-batch by parameter name, in the memory of the optimizer. */
export interface MicroBatchGradients {
  host: Readonly<Record<string, HostTensor>>;
  kept: Readonly<Record<string, DeviceTensor>>;
}

/** Parameters, their gradients and their moments, in the memory where they are changed. */
export interface Optimizer {
  /** Updates applied so far. */
  readonly step: number;
  /** The parameters as the train program takes them. */
  feeds(): Readonly<Record<string, AnyTensor>>;
  /** Adds the gradients of one micro-batch, which are its own from now on. */
  accumulate(gradients: MicroBatchGradients): Promise<void>;
  /** The sum of the squares of each accumulated gradient, by name; not finite where some value is not. */
  gradientSquares(): Promise<ReadonlyMap<string, number>>;
  /** The same of the parameters. */
  parameterSquares(): Promise<ReadonlyMap<string, number>>;
  /** One update along the accumulated gradients, each multiplied by `scale` first; they are gone afterwards. */
  update(learningRate: number, scale: number): Promise<void>;
  /** Forgets the accumulated gradients. */
  forget(): void;
  /** Keeps parameters and moments as they are now, until `goBack` or `letGo`. */
  hold(): void;
  /** Undoes the updates since `hold`. */
  goBack(): void;
  /** Keeps the updates since `hold`. */
  letGo(): void;
  /** The parameters, valid until the next update. */
  parameters(): Tensors;
  /** Step and moments, valid until the next update. */
  state(): OptimizerState;
  /** Goes on from `state` and, where they are given, `parameters`; the shapes have been checked. */
  restore(state: OptimizerState, parameters?: Tensors): Promise<void>;
  close(): Promise<void>;
}

/** AdamW on `parameters`, which are copied, in the memory that the engine prefers. */
export function createOptimizer(
  engine: Engine,
  parameters: Parameters,
  options: AdamWOptions,
): Promise<Optimizer> {
  return engine.memory === 'host'
    ? Promise.resolve(new HostOptimizer(parameters, options))
    : DeviceOptimizer.create(engine, parameters, options);
}
