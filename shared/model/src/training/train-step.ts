import type { Engine } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import { finishMetrics, type CriticOptions } from '@forge/rl';
import type { Parameters, Tensors } from '@forge/weights';
import type { OptimizerState } from './adamw';
import { Critic } from './critic';
import { firstNonFinite, sumOfSquares } from './gradients';
import { learningRateAt } from './learning-rate';
import { Learner, type Gradients, type Watch } from './learner';
import { MicroBatchSize } from './micro-batch-size';
import { cutMicroBatches, type MicroBatch, type TrainEpisode } from './micro-batches';
import { cutMinibatches, type Minibatch } from './minibatches';
import type { OptimizerOptions } from './optimizer';
import { checkLimits, type StepLimits } from './step-limits';
import { criticMetrics, meanOf, Mismatch, paddedTokens, type StepResult, type Update } from './step-result';
import { supervisedEpisode } from './supervised';
import { buildTrainGraph, type TrainGraphOptions } from './train-graph';

export interface TrainStepOptions extends Omit<TrainGraphOptions, 'feedsOld'> {
  engine: Engine;
  /** The parameters trained, as they are at the start: all, or those of the adapter of `base`; copied, and not held on to. */
  parameters: Parameters;
  optimizer: OptimizerOptions;
  /** A value model to learn beside the policy: an episode's advantage is its reward then. */
  critic?: CriticOptions | null;
  /** Passes over a batch; 1 unless given. */
  updatesPerBatch?: number;
  /** Optimizer steps of one pass; 1 unless given. */
  minibatches?: number;
  /** A step beyond one of these is not applied; left out: no bound. */
  limits?: StepLimits;
  /** Padded tokens of a micro-batch at most; a single longer episode goes alone. Halved where memory ends. */
  microBatchTokens: number;
  /** Called before the first micro-batch of a step, and after each. */
  onMicroBatch?: (done: number, of: number) => void;
  /** Milliseconds, for `durationMs`. */
  clock?: () => number;
}

/**
 * Steps on a policy, each an optimizer update or several on one batch: one graph for forward and backward, gradients
 * accumulated over micro-batches, clipping and AdamW where the engine's tensors lie. The same calls on the same machine and
 * thread count give the same bits.
 *
 * Not re-entrant: await a step before the next call.
 */
export class TrainStep {
  private readonly size: MicroBatchSize;
  private steps = 0;
  /** The micro-batch that is in the engine. */
  private underWay: MicroBatch | null = null;

  private constructor(
    private readonly policy: Learner,
    private readonly critic: Critic | null,
    private readonly options: Omit<TrainStepOptions, 'engine' | 'parameters' | 'critic'>,
  ) {
    this.size = new MicroBatchSize(options.microBatchTokens);
  }

  static async create(options: TrainStepOptions): Promise<TrainStep> {
    const { engine, parameters, critic = null, updatesPerBatch = 1, minibatches = 1, ...rest } = options;
    const isSeveral = updatesPerBatch * minibatches > 1;
    const policy = await Learner.create({
      engine,
      parameters,
      outputs: buildTrainGraph(parameters, {
        keepLogits: keepsLogits(options),
        ...options,
        feedsOld: isSeveral,
      }),
      optimizer: options.optimizer,
      looks: isSeveral || critic !== null,
    });
    // A value model has weights of its own, and starts with those of the whole model.
    const whole = options.base?.parameters ?? parameters;
    const values = critic && (await Critic.create(critic, { ...options, parameters: whole }));
    // The program has its own copy of the base.
    return new TrainStep(policy, values, { ...rest, base: undefined, updatesPerBatch, minibatches });
  }

  /** Steps applied so far, which is the version of the policy. */
  get stepNumber(): number {
    return this.steps;
  }

  /**
   * One step on `episodes`; `learningRate` overrides the schedule. Where memory ends, it begins again once, in
   * micro-batches of half the size, as do later steps: with the bits of a step that had that size from the start, which
   * are those of the larger one but for the order of summation.
   *
   * @throws {ForgeError} NUMERIC_NON_FINITE naming the first tensor that holds NaN or infinity: a parameter, an
   *   input, the loss or a gradient; NUMERIC_LIMIT_EXCEEDED for a step beyond the limits. Parameters and moments are
   *   then as before, whatever updates of the step were applied.
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
    const learningRate = overrides.learningRate ?? learningRateAt(this.steps, this.options.optimizer);
    const { tokens: sizeBefore } = this.size;
    for (let isLast = false; ; isLast = true) {
      try {
        const trained = await this.attempt(episodes, learningRate);
        this.steps += 1;
        const smallerMicroBatches = this.size.tokens < sizeBefore ? this.size.tokens : null;
        return { ...trained, learningRate, smallerMicroBatches, durationMs: clock() - startedAt };
      } catch (error) {
        const tooLarge = this.underWay;
        if (!(error instanceof ForgeError && error.is('CAPACITY_DEVICE_MEMORY')) || !tooLarge) throw error;
        if (isLast || !this.size.halve(tooLarge)) throw this.size.refusal(tooLarge, error);
      }
    }
  }

  /**
   * The log-probs of given tokens, each after those before it, under the parameters as they are.
   *
   * Shapes: tokenIds [T] -> [T - 1], without one for the first token.
   */
  async logprobs(tokenIds: readonly number[]): Promise<number[]> {
    const { referenceTop = 0 } = this.options;
    const episode = supervisedEpisode(tokenIds.slice(0, 1), tokenIds.slice(1));
    // Inputs of the loss, which is not looked at.
    const unseen = new Float32Array(referenceTop * (tokenIds.length - 1));
    const taught = { ...episode, referenceTop: { tokenIds: unseen, logprobs: unseen } };
    const [batch] = cutMicroBatches([taught], tokenIds.length, { referenceTop });
    return [...(await this.policy.perToken(batch!))];
  }

  /** The parameters, which the next step may change: copy what is to last. */
  parameters(): Tensors {
    return this.policy.optimizer.parameters();
  }

  /** Step and moments, which together with the parameters resume training with the same bits; as live as they. */
  state(): OptimizerState {
    const { step: updates, ...moments } = this.policy.optimizer.state();
    const extraUpdates = updates - this.steps;
    const critic = this.critic?.state();
    return {
      step: this.steps,
      ...(extraUpdates > 0 && { extraUpdates }),
      ...moments,
      ...(critic !== undefined && { critic }),
    };
  }

  /**
   * Goes on from `state`, and from `parameters` where they are given.
   *
   * @throws {ForgeError} SHAPE_MISMATCH when a moment or a parameter is missing or not shaped like its parameter.
   */
  async restore(state: OptimizerState, parameters?: Tensors): Promise<void> {
    const { extraUpdates = 0 } = state;
    if (parameters) this.policy.checkShapes('parameter', parameters);
    this.policy.checkShapes('first moment of', state.firstMoments);
    this.policy.checkShapes('second moment of', state.secondMoments);
    this.critic?.checkState(state.critic);
    const updates = state.step + extraUpdates;
    await this.policy.optimizer.restore({ ...state, step: updates }, parameters);
    if (state.critic !== undefined) await this.critic?.restore(updates, state.critic);
    this.steps = state.step;
  }

  async close(): Promise<void> {
    for (const learner of this.learners) await learner.close();
  }

  private get learners(): Learner[] {
    return this.critic === null ? [this.policy] : [this.policy, this.critic.learner];
  }

  /** All updates of a step; none of them when one fails. */
  private async attempt(
    episodes: readonly TrainEpisode[],
    learningRate: number,
  ): Promise<Omit<StepResult, 'learningRate' | 'smallerMicroBatches' | 'durationMs'>> {
    const { updatesPerBatch = 1, minibatches = 1, referenceTop = 0 } = this.options;
    const isReward = this.critic !== null;
    const parts = cutMinibatches(episodes, {
      ...{ minibatches, isReward, referenceTop },
      microBatchTokens: this.size.tokens,
    });
    checkInputs(this.steps, parts);
    const mismatch = new Mismatch(this.steps);
    const tell = this.teller(updatesPerBatch, parts);
    const optimizers = this.learners.map(({ optimizer }) => optimizer);
    if (updatesPerBatch * parts.length > 1) for (const optimizer of optimizers) optimizer.hold();
    try {
      const before = await this.lookBefore(parts, mismatch);
      const done: Update[] = [];
      for (let pass = 0; pass < updatesPerBatch; pass++) {
        for (const part of parts) {
          const ends = (batch: MicroBatch, logprobs: Float32Array): void => {
            if (done.length === 0) mismatch.add(batch, logprobs);
            tell();
          };
          done.push(await this.update(part, learningRate, ends));
        }
      }
      for (const optimizer of optimizers) optimizer.letGo();
      const mean = meanOf(done);
      return {
        ...mean,
        metrics: { ...mean.metrics, ...before },
        tokens: parts.reduce((sum, { tokens }) => sum + tokens, 0),
        paddedTokens: updatesPerBatch * paddedTokens(parts),
        logprobMismatch: mismatch.ownVersion,
        logprobMismatchAnyVersion: mismatch.anyVersion,
      };
    } finally {
      for (const optimizer of optimizers) {
        optimizer.forget();
        optimizer.goBack();
      }
    }
  }

  /** Keeps in mind which micro-batch is under way, and how large one went through. */
  private watch(ends: Watch['ends'] = () => undefined): Watch {
    return {
      begins: (batch) => {
        this.underWay = batch;
      },
      ends: (batch, perToken) => {
        this.underWay = null;
        this.size.fits(batch);
        ends(batch, perToken);
      },
    };
  }

  /** Computes what losses want to know of the policy and the values before their first update; metrics of the values. */
  private async lookBefore(parts: readonly Minibatch[], mismatch: Mismatch): Promise<Record<string, number>> {
    const microBatches = parts.flatMap((part) => part.microBatches);
    if (this.learners.some((learner) => learner.takes('old'))) {
      for (const batch of microBatches) {
        batch.old = await this.policy.look(batch, this.watch());
        mismatch.add(batch, batch.old);
      }
    }
    if (this.critic === null) return {};
    return { explained_variance: await this.critic.judge(microBatches, this.watch()) };
  }

  private async update(part: Minibatch, learningRate: number, ends: Watch['ends']): Promise<Update> {
    const { policy, critic, steps, options } = this;
    const keep = this.watch((batch, found) => {
      batch.values = found;
    });
    const values = await critic?.learner.differentiate(part, steps, keep);
    const gradients = await policy.differentiate(part, steps, this.watch(ends));
    if (values !== undefined) await this.checkFinite(critic!.learner, values);
    await this.checkFinite(policy, gradients);
    const metrics = finishMetrics(gradients.metrics);
    const kl = metrics['kl_behaviour'] ?? 0;
    checkLimits(steps, { gradientNorm: gradients.norm, kl }, options.limits);
    if (values !== undefined) {
      await critic!.learner.update(
        critic!.learningRate(learningRate, options.optimizer.learningRate),
        values,
      );
      Object.assign(metrics, criticMetrics(values));
    }
    await policy.update(learningRate, gradients);
    return { loss: gradients.loss, gradientNorm: gradients.norm, metrics };
  }

  /** A function to call after each micro-batch of a step. */
  private teller(passes: number, parts: readonly Minibatch[]): () => void {
    const of = passes * parts.reduce((sum, { microBatches }) => sum + microBatches.length, 0);
    let done = 0;
    this.options.onMicroBatch?.(done, of);
    return () => this.options.onMicroBatch?.((done += 1), of);
  }

  /**
   * Names the cause rather than what it spoilt: one bad parameter spoils the loss and every gradient.
   *
   * @throws {ForgeError} NUMERIC_NON_FINITE when the loss or a gradient is not finite.
   */
  private async checkFinite(learner: Learner, gradients: Gradients): Promise<void> {
    const { loss, norm } = gradients;
    if (Number.isFinite(loss) && Number.isFinite(norm)) return;
    const found = await learner.firstNonFinite(gradients);
    const suspects: [string, string | undefined][] = [
      ['parameter', found.parameter],
      ['gradient of', found.gradient],
    ];
    const [what, tensor] = suspects.find(([, name]) => name !== undefined) ?? ['the', 'loss'];
    const whose = learner === this.policy ? '' : 'critic: ';
    throw new ForgeError(
      'NUMERIC_NON_FINITE',
      `train step ${this.steps}: ${whose}${what} ${tensor} is not finite (loss ${loss}); nothing was updated`,
      { tensor, step: this.steps, loss: String(loss) },
    );
  }
}

/**
 * A loss that bounds its terms would not show every one of them.
 *
 * @throws {ForgeError} NUMERIC_NON_FINITE naming an input that is not finite.
 */
function checkInputs(step: number, parts: readonly Minibatch[]): void {
  const squares = parts
    .flatMap(({ microBatches }) => microBatches)
    .flatMap(({ behaviour, reference, advantages, top }) =>
      Object.entries({ behaviour, reference, advantages, ...(top && { referenceTop: top.logprobs }) }),
    )
    .map(([name, values]) => [name, sumOfSquares(values)] as const);
  const tensor = firstNonFinite(squares);
  if (tensor === undefined) return;
  const message = `train step ${step}: input ${tensor} is not finite; nothing was updated`;
  throw new ForgeError('NUMERIC_NON_FINITE', message, { tensor, step });
}

/** Logits are kept where that takes at most half a GiB, and where memory is not worth more than time. */
function keepsLogits({ engine, config, microBatchTokens, recompute }: TrainStepOptions): boolean {
  return engine.memory === 'device' && !recompute && microBatchTokens * config.vocabSize <= 2 ** 27;
}
