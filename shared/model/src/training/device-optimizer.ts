import type { AnyTensor, DeviceTensor, Engine, HostTensor, Program } from '@forge/engine';
import { adamW, adamWNumbers, add, concat, Graph, mul, reshape, sum, type Tensor } from '@forge/graph';
import { valuesOf, type NamedTensor, type Parameters, type Tensors, type UnreadTensor } from '@forge/weights';
import type { AdamWOptions, OptimizerState } from './adamw';
import type { MicroBatchGradients, Optimizer } from './optimizer';

/** A parameter and its moments on the device. */
interface Trained {
  readonly shape: readonly number[];
  parameter: DeviceTensor;
  first: DeviceTensor;
  second: DeviceTensor;
}

/** The state that updates can be undone to. */
interface Held {
  step: number;
  trained: ReadonlyMap<string, Readonly<Trained>>;
}

/** The programs that parameters of one shape share. */
interface ShapePrograms {
  add: Program;
  update: Program;
}

/**
 * Parameters, gradients and moments in the memory of the device, changed by programs; a step moves none of them.
 *
 * Edge: squares are summed in float32, so that a gradient beyond 1e19 counts as not finite.
 */
export class DeviceOptimizer implements Optimizer {
  private appliedSteps = 0;
  private readonly trained = new Map<string, Trained>();
  private gradients: Record<string, DeviceTensor> = {};
  private readonly programs = new Map<string, ShapePrograms>();
  private squares!: Program;
  private held: Held | null = null;

  private constructor(
    private readonly engine: Engine,
    private readonly options: AdamWOptions,
  ) {}

  static async create(
    engine: Engine,
    parameters: Parameters,
    options: AdamWOptions,
  ): Promise<DeviceOptimizer> {
    const optimizer = new DeviceOptimizer(engine, options);
    for (const [name, { shape, data }] of parameters) {
      const zeros = (): NamedTensor => ({ shape, data: new Float32Array(data.length) });
      optimizer.trained.set(name, {
        shape,
        parameter: await optimizer.put({ shape, data }),
        first: await optimizer.put(zeros()),
        second: await optimizer.put(zeros()),
      });
      const key = shape.join();
      if (!optimizer.programs.has(key)) optimizer.programs.set(key, await optimizer.compile(shape));
    }
    optimizer.squares = await engine.compile({ squares: squaresOf(parameters) });
    return optimizer;
  }

  get step(): number {
    return this.appliedSteps;
  }

  feeds(): Readonly<Record<string, AnyTensor>> {
    return this.each(({ parameter }) => parameter);
  }

  async accumulate({ kept }: MicroBatchGradients): Promise<void> {
    try {
      for (const name of this.trained.keys()) await this.addTo(name, kept[name]!);
    } catch (error) {
      for (const addend of Object.values(kept)) addend.dispose();
      throw error;
    }
  }

  gradientSquares(): Promise<ReadonlyMap<string, number>> {
    return this.squaresOf(this.gradients);
  }

  parameterSquares(): Promise<ReadonlyMap<string, number>> {
    return this.squaresOf(this.feeds());
  }

  async update(learningRate: number, scale: number): Promise<void> {
    this.appliedSteps += 1;
    for (const [name, one] of this.trained) {
      const { shape, parameter, first, second } = one;
      const decay = shape.length > 1 ? this.options.weightDecay : 0;
      const numbers = adamWNumbers(this.options, this.appliedSteps, learningRate, decay);
      const scalars = Object.entries({ ...numbers, gradientScale: scale }).map(([key, x]) => [
        key,
        scalar(x),
      ]);
      const tensors = {
        parameter,
        firstMoment: first,
        secondMoment: second,
        gradient: this.gradients[name]!,
      };
      const isHeld = this.held?.trained.get(name)?.parameter === parameter;
      const { kept } = await this.programsOf(shape).update.run(
        { ...tensors, ...(Object.fromEntries(scalars) as Record<string, HostTensor>) },
        { consumed: isHeld ? ['gradient'] : Object.keys(tensors) },
      );
      one.parameter = kept['new.parameter']!;
      one.first = kept['new.firstMoment']!;
      one.second = kept['new.secondMoment']!;
    }
    this.gradients = {};
  }

  forget(): void {
    for (const gradient of Object.values(this.gradients)) gradient.dispose();
    this.gradients = {};
  }

  hold(): void {
    const trained = new Map([...this.trained].map(([name, one]) => [name, { ...one }]));
    this.held = { step: this.appliedSteps, trained };
  }

  goBack(): void {
    if (this.held === null) return;
    for (const [name, old] of this.held.trained) {
      const one = this.trained.get(name)!;
      if (one.parameter !== old.parameter) disposeOf(one);
      this.trained.set(name, { ...old });
    }
    this.appliedSteps = this.held.step;
    this.held = null;
  }

  letGo(): void {
    for (const [name, old] of this.held?.trained ?? [])
      if (this.trained.get(name)!.parameter !== old.parameter) disposeOf(old);
    this.held = null;
  }

  parameters(): Tensors {
    return this.unread(({ parameter }) => parameter);
  }

  state(): OptimizerState {
    return {
      step: this.appliedSteps,
      firstMoments: this.unread(({ first }) => first),
      secondMoments: this.unread(({ second }) => second),
    };
  }

  async restore(state: OptimizerState, parameters?: Tensors): Promise<void> {
    const replace = async (old: DeviceTensor, tensor: NamedTensor | UnreadTensor): Promise<DeviceTensor> => {
      const fresh = await this.put({ shape: tensor.shape, data: await valuesOf(tensor) });
      old.dispose();
      return fresh;
    };
    for (const [name, one] of this.trained) {
      one.first = await replace(one.first, state.firstMoments.get(name)!);
      one.second = await replace(one.second, state.secondMoments.get(name)!);
      const given = parameters?.get(name);
      if (given) one.parameter = await replace(one.parameter, given);
    }
    this.appliedSteps = state.step;
  }

  async close(): Promise<void> {
    this.forget();
    this.letGo();
    for (const one of this.trained.values()) disposeOf(one);
    const programs = [...this.programs.values()].flatMap(({ add, update }) => [add, update]);
    for (const program of [...programs, this.squares]) await program.release();
  }

  private async addTo(name: string, addend: DeviceTensor): Promise<void> {
    const total = this.gradients[name];
    if (total === undefined) {
      this.gradients[name] = addend;
      return;
    }
    const { add } = this.programsOf(addend.shape);
    const { kept } = await add.run({ total, addend }, { consumed: ['total', 'addend'] });
    this.gradients[name] = kept.sum!;
  }

  private put({ shape, data }: NamedTensor): Promise<DeviceTensor> {
    return this.engine.put({ dtype: 'float32', shape, data });
  }

  private programsOf(shape: readonly number[]): ShapePrograms {
    return this.programs.get(shape.join())!;
  }

  private async compile(shape: readonly number[]): Promise<ShapePrograms> {
    const addition = new Graph();
    const total = addition.input('total', 'float32', shape);
    const outputs = { sum: add(total, addition.input('addend', 'float32', shape)) };
    const graph = new Graph();
    const tensor = (name: string): Tensor => graph.input(name, 'float32', shape);
    const number = (name: string): Tensor => graph.input(name, 'float32', []);
    const updated = adamW(
      {
        ...{ parameter: tensor('parameter'), gradient: tensor('gradient') },
        ...{ firstMoment: tensor('firstMoment'), secondMoment: tensor('secondMoment') },
        ...{ keep: number('keep'), rate: number('rate'), correction: number('correction') },
        gradientScale: number('gradientScale'),
      },
      this.options,
    );
    const renamed = Object.fromEntries(Object.entries(updated).map(([name, y]) => [`new.${name}`, y]));
    return {
      add: await this.engine.compile(outputs, { kept: ['sum'] }),
      update: await this.engine.compile(renamed, { kept: Object.keys(renamed) }),
    };
  }

  private each<T>(value: (one: Trained) => T): Record<string, T> {
    return Object.fromEntries([...this.trained].map(([name, one]) => [name, value(one)]));
  }

  private async squaresOf(
    tensors: Readonly<Record<string, AnyTensor>>,
  ): Promise<ReadonlyMap<string, number>> {
    const { host } = await this.squares.run(tensors);
    const values = host.squares!.data as Float32Array;
    return new Map([...this.trained.keys()].map((name, i) => [name, values[i]!]));
  }

  private unread(which: (one: Trained) => DeviceTensor): Tensors {
    const tensors = [...this.trained].map(([name, one]): [string, UnreadTensor] => {
      const tensor = which(one);
      const read = async (): Promise<Float32Array> => (await tensor.read()).data as Float32Array;
      return [name, { shape: one.shape, read }];
    });
    return new Map(tensors);
  }
}

function disposeOf({ parameter, first, second }: Readonly<Trained>): void {
  for (const tensor of [parameter, first, second]) tensor.dispose();
}

/** The sum of the squares of each tensor, float32 [P] in the order of `parameters`. */
function squaresOf(parameters: Parameters): Tensor {
  const graph = new Graph();
  const sums = [...parameters].map(([name, { shape }]) => {
    const x = graph.input(name, 'float32', shape);
    return reshape(sum(mul(x, x)), [1]);
  });
  return concat(sums, 0);
}

const scalar = (value: number): HostTensor => ({
  dtype: 'float32',
  shape: [],
  data: Float32Array.of(value),
});
