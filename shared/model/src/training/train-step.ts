import type { AnyTensor, Engine, HostTensor, Program } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import { finishMetrics } from '@forge/rl';
import type { Parameters, Tensors } from '@forge/weights';
import type { AdamWOptions, OptimizerState } from './adamw';
import { clipScale, firstNonFinite, normOf, sumOfSquares } from './gradients';
import { learningRateAt, type LearningRateSchedule } from './learning-rate';
import { MicroBatchSize } from './micro-batch-size';
import { countTrainedTokens, cutMicroBatches, type MicroBatch, type TrainEpisode } from './micro-batches';
import { createOptimizer, type Optimizer } from './optimizer';
import { buildTrainGraph, type TrainGraphOptions } from './train-graph';

export interface OptimizerOptions extends AdamWOptions, LearningRateSchedule {
  /** Gradients are scaled down to this global norm when they exceed it; Infinity never scales. */
  maxGradientNorm: number;
}

export interface TrainStepOptions extends TrainGraphOptions {
  engine: Engine;
  /** The parameters that training starts with; copied, and not held on to. */
  parameters: Parameters;
  optimizer: OptimizerOptions;
  /** A step beyond one of these is not applied; left out: no bound. */
  limits?: StepLimits;
  /** Padded tokens of a micro-batch at most; a single longer episode goes alone. Halved where memory ends. */
  microBatchTokens: number;
  /** Called before the first micro-batch of a step, and after each. */
  onMicroBatch?: (done: number, of: number) => void;
  /** Milliseconds, for `durationMs`. */
  clock?: () => number;
}

export interface StepLimits {
  /** Euclidean norm of the gradient before clipping. */
  maxGradientNorm?: number | undefined;
  /** KL(behaviour || policy) of the batch, in nats; with a loss that has the metric `kl_behaviour`. */
  maxKl?: number | undefined;
}

export interface StepResult {
  loss: number;
  /** Global norm before clipping. */
  gradientNorm: number;
  learningRate: number;
  /** The loss's own metrics for the whole batch. */
  metrics: Record<string, number>;
  /** Trained tokens. */
  tokens: number;
  /** Padded tokens that went through the model. */
  paddedTokens: number;
  /** The size that micro-batches have from this step on, where it had to be halved; else null. */
  smallerMicroBatches: number | null;
  /** Largest |trainer - behaviour| log-prob over trained tokens of the version being trained; 0 without such tokens. */
  logprobMismatch: number;
  /** The same over tokens of any policy version: grows with the lag, information only. */
  logprobMismatchAnyVersion: number;
  durationMs: number;
}

/** Sums over the micro-batches of one step. */
interface Totals {
  microBatches: readonly MicroBatch[];
  loss: number;
  metrics: Record<string, number>;
  logprobMismatch: number;
  logprobMismatchAnyVersion: number;
}

/**
 * Optimizer steps on a policy: one graph for forward and backward, gradients accumulated over micro-batches, clipping and
 * AdamW where the engine's tensors lie. The same calls on the same machine and thread count give the same bits.
 *
 * Not re-entrant: await a step before the next call.
 */
export class TrainStep {
  private readonly size: MicroBatchSize;

  private constructor(
    private readonly program: Program,
    private readonly optimizer: Optimizer,
    private readonly shapes: ReadonlyMap<string, readonly number[]>,
    private readonly options: Omit<TrainStepOptions, 'engine' | 'parameters'>,
  ) {
    this.size = new MicroBatchSize(options.microBatchTokens);
  }

  static async create(options: TrainStepOptions): Promise<TrainStep> {
    const { engine, parameters, ...rest } = options;
    const { loss, logprobs, metrics, gradients } = buildTrainGraph(parameters, {
      keepLogits: keepsLogits(options),
      ...options,
    });
    const named = prefixed(GRADIENT, gradients);
    const program = await engine.compile(
      { loss, logprobs, ...prefixed('metrics/', metrics), ...named },
      { kept: engine.memory === 'device' ? Object.keys(named) : [] },
    );
    const optimizer = await createOptimizer(engine, parameters, options.optimizer);
    const shapes = new Map([...parameters].map(([name, { shape }]) => [name, shape]));
    return new TrainStep(program, optimizer, shapes, rest);
  }

  /** Steps applied so far, which is the version of the policy. */
  get stepNumber(): number {
    return this.optimizer.step;
  }

  /**
   * One optimizer step on `episodes`; `learningRate` overrides the schedule. Where memory ends, it begins again once, in
   * micro-batches of half the size, as do later steps: with the bits of a step that had that size from the start, which
   * are those of the larger one but for the order of summation.
   *
   * @throws {ForgeError} NUMERIC_NON_FINITE naming the first tensor that holds NaN or infinity: a parameter, an
   *   input, the loss or a gradient; NUMERIC_LIMIT_EXCEEDED for a step beyond the limits. Parameters and moments are
   *   then as before.
   * @throws {ForgeError} CONTRACT_INVALID_MESSAGE for an empty batch or a broken episode; CAPACITY_DEVICE_MEMORY saying
   *   what would fit.
   */
  async step(
    episodes: readonly TrainEpisode[],
    overrides: { learningRate?: number } = {},
  ): Promise<StepResult> {
    const clock = this.options.clock ?? (() => performance.now());
    const startedAt = clock();
    if (episodes.length === 0) {
      throw new ForgeError('CONTRACT_INVALID_MESSAGE', 'train step: the batch has no episodes', {
        field: 'episodes',
      });
    }
    const { tokens: sizeBefore } = this.size;
    const tokens = episodes.reduce((count, episode) => count + countTrainedTokens(episode), 0);
    try {
      const totals = await this.forwardAndBackward(episodes, { tokens, sequences: episodes.length });
      const { microBatches } = totals;
      const squares = await this.optimizer.gradientSquares();
      const gradientNorm = normOf(squares);
      if (!Number.isFinite(totals.loss) || !Number.isFinite(gradientNorm)) {
        throw await this.nonFinite(microBatches, totals.loss, squares);
      }
      const metrics = finishMetrics(totals.metrics);
      this.checkLimits(gradientNorm, metrics['kl_behaviour']);
      const { optimizer } = this.options;
      const learningRate = overrides.learningRate ?? learningRateAt(this.stepNumber, optimizer);
      await this.optimizer.update(learningRate, clipScale(gradientNorm, optimizer.maxGradientNorm));
      return {
        loss: totals.loss,
        gradientNorm,
        learningRate,
        metrics,
        tokens,
        paddedTokens: microBatches.reduce((count, { rows, width }) => count + rows * width, 0),
        smallerMicroBatches: this.size.tokens < sizeBefore ? this.size.tokens : null,
        logprobMismatch: totals.logprobMismatch,
        logprobMismatchAnyVersion: totals.logprobMismatchAnyVersion,
        durationMs: clock() - startedAt,
      };
    } finally {
      this.optimizer.forget();
    }
  }

  /** The parameters, which the next step may change: copy what is to last. */
  parameters(): Tensors {
    return this.optimizer.parameters();
  }

  /** Step and moments, which together with the parameters resume training with the same bits; as live as they. */
  state(): OptimizerState {
    return this.optimizer.state();
  }

  /**
   * Goes on from `state`, and from `parameters` where they are given.
   *
   * @throws {ForgeError} SHAPE_MISMATCH when a moment or a parameter is missing or not shaped like its parameter.
   */
  async restore(state: OptimizerState, parameters?: Tensors): Promise<void> {
    if (parameters) this.checkShapes('parameter', parameters);
    this.checkShapes('first moment of', state.firstMoments);
    this.checkShapes('second moment of', state.secondMoments);
    await this.optimizer.restore(state, parameters);
  }

  async close(): Promise<void> {
    await this.optimizer.close();
    await this.program.release();
  }

  private checkShapes(what: string, tensors: Tensors): void {
    for (const [name, expected] of this.shapes) {
      const found = tensors.get(name)?.shape;
      if (found?.join() === expected.join()) continue;
      const message = `${what} ${name}: expected shape [${expected.join(', ')}], found ${found ? `[${found.join(', ')}]` : 'nothing'}`;
      throw new ForgeError('SHAPE_MISMATCH', message, { tensor: name, expected, found: found ?? null });
    }
  }

  private async forwardAndBackward(
    episodes: readonly TrainEpisode[],
    counts: { tokens: number; sequences: number },
  ): Promise<Totals> {
    for (let isLast = false; ; isLast = true) {
      const microBatches = cutMicroBatches(episodes, this.size.tokens);
      const totals: Totals = {
        ...{ microBatches, loss: 0, metrics: {} },
        ...{ logprobMismatch: 0, logprobMismatchAnyVersion: 0 },
      };
      const told = this.options.onMicroBatch;
      let done = 0;
      told?.(done, microBatches.length);
      try {
        for (const microBatch of microBatches) {
          await this.addMicroBatch(totals, microBatch, counts);
          this.size.fits(microBatch);
          told?.(++done, microBatches.length);
        }
        return totals;
      } catch (error) {
        const tooLarge = microBatches[done];
        if (!(error instanceof ForgeError && error.is('CAPACITY_DEVICE_MEMORY')) || !tooLarge) throw error;
        if (isLast || !this.size.halve(tooLarge)) throw this.size.refusal(tooLarge, error);
        this.optimizer.forget();
      }
    }
  }

  private async addMicroBatch(
    totals: Totals,
    microBatch: MicroBatch,
    counts: { tokens: number; sequences: number },
  ): Promise<void> {
    const { host, kept } = await this.program.run(this.feeds(microBatch, counts));
    const floats = (name: string): Float32Array => host[name]!.data as Float32Array;
    totals.loss += floats('loss')[0]!;
    for (const name of this.program.outputNames) {
      if (!name.startsWith('metrics/')) continue;
      const metric = name.slice('metrics/'.length);
      totals.metrics[metric] = (totals.metrics[metric] ?? 0) + floats(name)[0]!;
    }
    await this.optimizer.accumulate({ host: gradientsOf(host), kept: gradientsOf(kept) });
    this.addMismatch(totals, microBatch, floats('logprobs'));
  }

  private feeds(batch: MicroBatch, counts: { tokens: number; sequences: number }): Record<string, AnyTensor> {
    const { rows, width } = batch;
    const grid = (data: Float32Array): HostTensor => ({ dtype: 'float32', shape: [rows, width], data });
    const indices = (data: BigInt64Array, shape: readonly number[]): HostTensor => ({
      dtype: 'int64',
      shape,
      data,
    });
    const scalar = (value: number): HostTensor => ({
      dtype: 'float32',
      shape: [],
      data: Float32Array.of(value),
    });
    const trained = batch.targets.length;
    const feeds: Record<string, AnyTensor> = {
      ...this.optimizer.feeds(),
      tokens: indices(batch.tokens, [rows, width]),
      positions: indices(positions(rows, width), [rows, width]),
      trainedPositions: indices(batch.trainedPositions, [trained]),
      trainedIndex: indices(batch.trainedIndex, [rows, width]),
      targets: indices(batch.targets, [trained]),
      behaviour: grid(batch.behaviour),
      reference: grid(batch.reference),
      advantages: grid(batch.advantages),
      lag: grid(lags(batch, this.stepNumber)),
      ...Object.fromEntries(CRITIC_TERMS.map((name) => [name, grid(new Float32Array(rows * width))])),
      mask: grid(batch.mask),
      sequenceIds: { dtype: 'float32', shape: [rows], data: Float32Array.from(batch.episodes) },
      tokenCount: scalar(counts.tokens),
      sequenceCount: scalar(counts.sequences),
    };
    // A loss need not look at every term; what it leaves out is no input of the graph.
    return Object.fromEntries(this.program.inputNames.map((name) => [name, feeds[name]!]));
  }

  private addMismatch(totals: Totals, batch: MicroBatch, logprobs: Float32Array): void {
    logprobs.forEach((logprob, n) => {
      const at = Number(batch.trainedPositions[n]);
      const version = batch.versions[at]!;
      if (version < 0) return;
      const mismatch = Math.abs(logprob - batch.behaviour[at]!);
      totals.logprobMismatchAnyVersion = Math.max(totals.logprobMismatchAnyVersion, mismatch);
      if (version === this.stepNumber) totals.logprobMismatch = Math.max(totals.logprobMismatch, mismatch);
    });
  }

  private checkLimits(gradientNorm: number, kl: number | undefined): void {
    const { maxGradientNorm = Infinity, maxKl = Infinity } = this.options.limits ?? {};
    const beyond = [
      { what: 'gradient norm', value: gradientNorm, limit: maxGradientNorm },
      { what: 'KL to the behaviour policy', value: kl ?? 0, limit: maxKl },
    ].find(({ value, limit }) => !(value <= limit));
    if (beyond === undefined) return;
    const { what, value, limit } = beyond;
    const message = `train step ${this.stepNumber}: the ${what} is ${value}, beyond ${limit}; nothing was updated`;
    throw new ForgeError('NUMERIC_LIMIT_EXCEEDED', message, {
      step: this.stepNumber,
      what,
      value: String(value),
      limit,
    });
  }

  /** Names the cause rather than what it spoilt: one bad parameter or input spoils the loss and every gradient. */
  private async nonFinite(
    microBatches: readonly MicroBatch[],
    loss: number,
    gradientSquares: ReadonlyMap<string, number>,
  ): Promise<ForgeError> {
    const inputs = microBatches.flatMap(({ behaviour, reference, advantages }) =>
      Object.entries({ behaviour, reference, advantages }),
    );
    const inputSquares = inputs.map(([name, values]) => [name, sumOfSquares(values)] as const);
    const suspects: [string, string | undefined][] = [
      ['parameter', firstNonFinite(await this.optimizer.parameterSquares())],
      ['input', firstNonFinite(inputSquares)],
      ['gradient of', firstNonFinite(gradientSquares)],
    ];
    const [what, tensor] = suspects.find(([, name]) => name !== undefined) ?? ['the', 'loss'];
    return new ForgeError(
      'NUMERIC_NON_FINITE',
      `train step ${this.stepNumber}: ${what} ${tensor} is not finite (loss ${loss}); nothing was updated`,
      { tensor, step: this.stepNumber, loss: String(loss) },
    );
  }
}

const GRADIENT = 'gradients/';
/** Zeros without a critic. */
const CRITIC_TERMS = ['values', 'oldValues', 'returns'];

/** The gradients among some outputs, by parameter name. */
function gradientsOf<T>(outputs: Readonly<Record<string, T>>): Record<string, T> {
  const gradients = Object.entries(outputs).filter(([name]) => name.startsWith(GRADIENT));
  return Object.fromEntries(gradients.map(([name, value]) => [name.slice(GRADIENT.length), value]));
}

/** Logits are kept where that takes at most half a GiB, and where memory is not worth more than time. */
function keepsLogits({ engine, config, microBatchTokens, recompute }: TrainStepOptions): boolean {
  return engine.memory === 'device' && !recompute && microBatchTokens * config.vocabSize <= 2 ** 27;
}

function prefixed<T>(prefix: string, values: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [prefix + name, value]));
}

/** Versions between `version` and the one that produced each token; 0 where none did. */
function lags({ versions }: MicroBatch, version: number): Float32Array {
  return Float32Array.from(versions, (produced) => (produced < 0 ? 0 : Math.max(0, version - produced)));
}

function positions(rows: number, width: number): BigInt64Array {
  return BigInt64Array.from({ length: rows * width }, (_, at) => BigInt(at % width));
}
