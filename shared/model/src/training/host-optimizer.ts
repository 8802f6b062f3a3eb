import type { AnyTensor } from '@forge/engine';
import { valuesOf, type Parameters, type Tensors } from '@forge/weights';
import { AdamW, type AdamWOptions, type OptimizerState } from './adamw';
import { accumulate, sumOfSquares, type Gradients } from './gradients';
import type { MicroBatchGradients, Optimizer } from './optimizer';

/** Parameters, gradients and moments in the memory of the host, changed by loops of JavaScript. */
export class HostOptimizer implements Optimizer {
  private readonly current: Parameters;
  private readonly adamW: AdamW;
  private readonly parameterFeeds: Record<string, AnyTensor>;
  private gradients: Gradients = new Map();
  private held: { step: number; copies: Float32Array[] } | null = null;

  constructor(parameters: Parameters, options: AdamWOptions) {
    this.current = new Map(
      [...parameters].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]),
    );
    this.adamW = new AdamW(this.current, options);
    this.parameterFeeds = Object.fromEntries(
      [...this.current].map(([name, { shape, data }]) => [name, { dtype: 'float32', shape, data }]),
    );
  }

  get step(): number {
    return this.adamW.step;
  }

  feeds(): Readonly<Record<string, AnyTensor>> {
    return this.parameterFeeds;
  }

  accumulate({ host }: MicroBatchGradients): Promise<void> {
    const gradients: Gradients = new Map(
      Object.entries(host).map(([name, { data }]) => [name, data as Float32Array]),
    );
    if (this.gradients.size === 0) this.gradients = gradients;
    else accumulate(this.gradients, gradients);
    return Promise.resolve();
  }

  gradientSquares(): Promise<ReadonlyMap<string, number>> {
    return Promise.resolve(new Map([...this.gradients].map(([name, data]) => [name, sumOfSquares(data)])));
  }

  parameterSquares(): Promise<ReadonlyMap<string, number>> {
    return Promise.resolve(new Map([...this.current].map(([name, { data }]) => [name, sumOfSquares(data)])));
  }

  update(learningRate: number, scale: number): Promise<void> {
    this.adamW.update(this.gradients, learningRate, scale);
    this.forget();
    return Promise.resolve();
  }

  forget(): void {
    this.gradients = new Map();
  }

  hold(): void {
    this.held = { step: this.adamW.step, copies: this.adamW.changed.map((data) => data.slice()) };
  }

  goBack(): void {
    if (this.held === null) return;
    const { step, copies } = this.held;
    this.adamW.changed.forEach((data, i) => {
      data.set(copies[i]!);
    });
    this.adamW.goBack(step);
    this.held = null;
  }

  letGo(): void {
    this.held = null;
  }

  parameters(): Tensors {
    return this.current;
  }

  state(): OptimizerState {
    return this.adamW.state();
  }

  async restore(state: OptimizerState, parameters?: Tensors): Promise<void> {
    await this.adamW.restore(state);
    for (const [name, { data }] of this.current) {
      const given = parameters?.get(name);
      if (given) data.set(await valuesOf(given));
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
