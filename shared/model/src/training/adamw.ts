import { valuesOf, type Parameters, type Tensors } from '@forge/weights';

export interface AdamWOptions {
  /** Decay of the running means of the gradient and of its square. */
  betas: readonly [number, number];
  epsilon: number;
  /** Share of a weight taken away per unit of learning rate. Norms and biases (rank 1) do not decay. */
  weightDecay: number;
}

/** The part of a checkpoint besides the parameters; shapes as the parameters of the same name. */
export interface OptimizerState<T extends Tensors = Tensors> {
  /** Updates applied so far; steps of the trainer, where a step may be several of them. */
  step: number;
  /** Updates beyond one a step; none unless given. */
  extraUpdates?: number;
  firstMoments: T;
  secondMoments: T;
  /** The value model, where one is learnt: it takes an update with each of the policy's. */
  critic?: { parameters: T; firstMoments: T; secondMoments: T };
}

/**
 * AdamW on the host: decoupled weight decay, bias correction; arithmetic in float64, storage in float32.
 *
 * Edge: a parameter without a gradient in `update` is left alone, as PyTorch does.
 *
 * @see Loshchilov and Hutter 2019, algorithm 2; torch.optim.AdamW
 */
export class AdamW {
  private appliedSteps = 0;
  private readonly firstMoments: Parameters;
  private readonly secondMoments: Parameters;

  constructor(
    private readonly parameters: Parameters,
    private readonly options: AdamWOptions,
  ) {
    this.firstMoments = zerosLike(parameters);
    this.secondMoments = zerosLike(parameters);
  }

  get step(): number {
    return this.appliedSteps;
  }

  /** Changes the parameters in place by one step along `gradients`, each multiplied by `gradientScale` first. */
  update(gradients: ReadonlyMap<string, Float32Array>, learningRate: number, gradientScale = 1): void {
    this.appliedSteps += 1;
    for (const [name, { shape, data }] of this.parameters) {
      const gradient = gradients.get(name);
      if (!gradient) continue;
      const decay = shape.length > 1 ? this.options.weightDecay : 0;
      const [first, second] = [this.firstMoments.get(name)!.data, this.secondMoments.get(name)!.data];
      this.updateTensor(data, gradient, first, second, learningRate, gradientScale, decay);
    }
  }

  /** The numbers that an update changes, to copy or to write over: parameters and moments. */
  get changed(): Float32Array[] {
    const tensors = [this.parameters, this.firstMoments, this.secondMoments];
    return tensors.flatMap((named) => [...named.values()].map(({ data }) => data));
  }

  /** Undoes updates: the state after `step` of them, whose numbers were written over `changed`. */
  goBack(step: number): void {
    this.appliedSteps = step;
  }

  /** The live moments: copy them if the next update must not change them. */
  state(): OptimizerState<Parameters> {
    return { step: this.appliedSteps, firstMoments: this.firstMoments, secondMoments: this.secondMoments };
  }

  /** Goes on from `state`, whose shapes are those of the parameters. */
  async restore({ step, firstMoments, secondMoments }: OptimizerState): Promise<void> {
    for (const [name, { data }] of this.firstMoments) data.set(await valuesOf(firstMoments.get(name)!));
    for (const [name, { data }] of this.secondMoments) data.set(await valuesOf(secondMoments.get(name)!));
    this.appliedSteps = step;
  }

  private updateTensor(
    parameter: Float32Array,
    gradient: Float32Array,
    first: Float32Array,
    second: Float32Array,
    learningRate: number,
    gradientScale: number,
    weightDecay: number,
  ): void {
    const { betas, epsilon } = this.options;
    const [beta1, beta2] = betas;
    const rate = learningRate / (1 - beta1 ** this.appliedSteps);
    const correction = 1 / Math.sqrt(1 - beta2 ** this.appliedSteps);
    const keep = 1 - learningRate * weightDecay;
    for (let i = 0; i < parameter.length; i++) {
      const g = gradient[i]! * gradientScale;
      const m = beta1 * first[i]! + (1 - beta1) * g;
      const v = beta2 * second[i]! + (1 - beta2) * g * g;
      first[i] = m;
      second[i] = v;
      parameter[i] = keep * parameter[i]! - (rate * m) / (Math.sqrt(v) * correction + epsilon);
    }
  }
}

function zerosLike(parameters: Parameters): Parameters {
  return new Map(
    [...parameters].map(([name, { shape, data }]) => [name, { shape, data: new Float32Array(data.length) }]),
  );
}
