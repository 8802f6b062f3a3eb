import type { AnyTensor, Engine, Program } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import type { Tensor } from '@forge/graph';
import type { Parameters, Tensors } from '@forge/weights';
import { clipScale, firstNonFinite, normOf } from './gradients';
import { termFeeds, type TermCounts } from './term-feeds';
import { spread, type MicroBatch } from './micro-batches';
import type { Minibatch } from './minibatches';
import { createOptimizer, type Optimizer, type OptimizerOptions } from './optimizer';
import type { TrainOutputs } from './train-graph';

export interface LearnerOptions {
  engine: Engine;
  /** The parameters it starts with; copied, and not held on to. */
  parameters: Parameters;
  outputs: TrainOutputs;
  optimizer: OptimizerOptions;
  /** Set when `look` is to be had. */
  looks: boolean;
}

/** The sums over the micro-batches of a minibatch, whose gradients the optimizer holds. */
export interface Gradients {
  loss: number;
  metrics: Record<string, number>;
  norm: number;
  /** Sums of squares by parameter. */
  squares: ReadonlyMap<string, number>;
}

const GRADIENT = 'gradients/';
const METRIC = 'metrics/';

/** Hears of micro-batches: which one is under way, and its per-token outputs when it went through, as `look` gives them. */
export interface Watch {
  begins: (batch: MicroBatch) => void;
  ends: (batch: MicroBatch, perToken: Float32Array) => void;
}

/** A model under training: one graph for forward and backward, and its optimizer. */
export class Learner {
  private constructor(
    private readonly program: Program,
    private readonly forward: Program | null,
    readonly optimizer: Optimizer,
    private readonly maxGradientNorm: number,
    private readonly shapes: ReadonlyMap<string, readonly number[]>,
  ) {}

  static async create(options: LearnerOptions): Promise<Learner> {
    const { engine, parameters, outputs, optimizer, looks } = options;
    const { loss, perToken, metrics, gradients } = outputs;
    const named = prefixed(GRADIENT, gradients);
    const program = await engine.compile(
      { loss, perToken, ...prefixed(METRIC, metrics), ...named },
      { kept: engine.memory === 'device' ? Object.keys(named) : [] },
    );
    return new Learner(
      program,
      looks ? await engine.compile({ perToken }) : null,
      await createOptimizer(engine, parameters, optimizer),
      optimizer.maxGradientNorm,
      new Map([...parameters].map(([name, { shape }]) => [name, shape])),
    );
  }

  /** @throws {ForgeError} SHAPE_MISMATCH when one of `tensors` is missing or not shaped like its parameter. */
  checkShapes(what: string, tensors: Tensors): void {
    for (const [name, expected] of this.shapes) {
      const found = tensors.get(name)?.shape;
      if (found?.join() === expected.join()) continue;
      const message = `${what} ${name}: expected shape [${expected.join(', ')}], found ${found ? `[${found.join(', ')}]` : 'nothing'}`;
      throw new ForgeError('SHAPE_MISMATCH', message, { tensor: name, expected, found: found ?? null });
    }
  }

  /** Whether its loss, or a metric, looks at a term. */
  takes(term: string): boolean {
    return this.program.inputNames.includes(term);
  }

  /** The per-token outputs under the parameters as they are. Shapes: [B, T], zeros where nothing is trained. */
  async look(batch: MicroBatch, watch: Watch): Promise<Float32Array> {
    watch.begins(batch);
    const { host } = await this.forward!.run(this.feeds(this.forward!, batch));
    const perToken = spread(batch, host.perToken!.data as Float32Array);
    watch.ends(batch, perToken);
    return perToken;
  }

  /** The per-token outputs of a micro-batch, [N], by the program that differentiates. */
  async perToken(batch: MicroBatch): Promise<Float32Array> {
    const feeds = this.feeds(this.program, batch);
    const { host } = await this.program.run(feeds, { wanted: ['perToken'] });
    return host.perToken!.data as Float32Array;
  }

  /** Loss and gradients of a minibatch. */
  async differentiate(minibatch: Minibatch, version: number, watch: Watch): Promise<Gradients> {
    let loss = 0;
    const metrics: Record<string, number> = {};
    for (const batch of minibatch.microBatches) {
      watch.begins(batch);
      const { host, kept } = await this.program.run(
        this.feeds(this.program, batch, { ...minibatch, version }),
      );
      const floats = (name: string): Float32Array => host[name]!.data as Float32Array;
      loss += floats('loss')[0]!;
      for (const name of this.program.outputNames) {
        if (!name.startsWith(METRIC)) continue;
        const metric = name.slice(METRIC.length);
        metrics[metric] = (metrics[metric] ?? 0) + floats(name)[0]!;
      }
      await this.optimizer.accumulate({ host: gradientsOf(host), kept: gradientsOf(kept) });
      watch.ends(batch, spread(batch, floats('perToken')));
    }
    const squares = await this.optimizer.gradientSquares();
    return { loss, metrics, norm: normOf(squares), squares };
  }

  /** One update along the gradients, scaled down to their largest norm. */
  update(learningRate: number, { norm }: Gradients): Promise<void> {
    return this.optimizer.update(learningRate, clipScale(norm, this.maxGradientNorm));
  }

  /** The first parameter that is not finite, or whose gradient is not. */
  async firstNonFinite({ squares }: Gradients): Promise<{ parameter?: string; gradient?: string }> {
    const parameter = firstNonFinite(await this.optimizer.parameterSquares());
    const gradient = firstNonFinite(squares);
    return { ...(parameter !== undefined && { parameter }), ...(gradient !== undefined && { gradient }) };
  }

  async close(): Promise<void> {
    await this.optimizer.close();
    await this.program.release();
    await this.forward?.release();
  }

  /** A loss need not look at every term; what it leaves out is no input of the graph. */
  private feeds(
    { inputNames }: Program,
    batch: MicroBatch,
    counts: TermCounts = { tokens: 0, sequences: 0, rollouts: 0, version: 0 },
  ): Record<string, AnyTensor> {
    const feeds = { ...this.optimizer.feeds(), ...termFeeds(batch, counts) };
    return Object.fromEntries(inputNames.map((name) => [name, feeds[name]!]));
  }
}

/** The gradients among some outputs, by parameter name. */
function gradientsOf<T>(outputs: Readonly<Record<string, T>>): Record<string, T> {
  const gradients = Object.entries(outputs).filter(([name]) => name.startsWith(GRADIENT));
  return Object.fromEntries(gradients.map(([name, value]) => [name.slice(GRADIENT.length), value]));
}

function prefixed(prefix: string, values: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [prefix + name, value]));
}
