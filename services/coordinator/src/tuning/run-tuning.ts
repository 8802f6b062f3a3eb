import type { RunState } from '@forge/broker';
import { candidatesPerBatch, type Recipe } from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { Logger } from '@forge/telemetry';
import { decide, firstState, type TuningState } from './tuner';
import { objective, type DialRange, type Dials, type StepFigures, type TuningRules } from './tuning-rules';

export interface RunTuningOptions {
  controls: Pick<RunState['controls'], 'tuning' | 'tune'>;
  recipe: Recipe;
  logger: Pick<Logger, 'info' | 'warn'>;
}

type Values = Readonly<Record<string, number>>;

const DIALS = ['pace', 'groupsInFlight'] as const;

/** Turns the dials of a run by what its steps show. What it knows is in Redis: a coordinator that follows goes on with it. */
export class RunTuning {
  /** `time/elapsed_s` of the step before; null before the first. */
  private elapsedSeconds: number | null = null;

  private constructor(
    private readonly options: RunTuningOptions,
    private readonly rules: TuningRules,
    private state: TuningState,
  ) {}

  /** Null where the recipe has nothing tuned. */
  static async open(options: RunTuningOptions): Promise<RunTuning | null> {
    const { controls, recipe } = options;
    const rules = rulesOf(recipe);
    if (Object.keys(rules.ranges).length === 0) return null;
    const { state } = await controls.tuning();
    if (state !== null) return new RunTuning(options, rules, JSON.parse(state) as TuningState);
    const first = firstState(firstDials(recipe, rules));
    const tuning = new RunTuning(options, rules, first);
    await controls.tune(tuning.changed(first.dials, {}), JSON.stringify(first), null);
    return tuning;
  }

  /** Takes in a step by its metrics, and turns a dial where that is due; the metrics of tuning. */
  async take(row: Values): Promise<Record<string, number>> {
    const figures = this.figuresOf(row);
    this.elapsedSeconds = row['time/elapsed_s'] ?? this.elapsedSeconds;
    const { pace, groupsInFlight } = this.state.dials;
    if (figures === null) return { 'tuning/pace': pace, 'tuning/groups_in_flight': groupsInFlight };
    const before = this.state;
    const { state, reason, isDue } = decide(before, figures, this.rules);
    if (isDue) await this.keep(before, state, reason);
    this.state = state;
    return {
      'tuning/pace': pace,
      'tuning/groups_in_flight': groupsInFlight,
      'tuning/objective': objective(figures.tokens / figures.seconds, figures.lag),
    };
  }

  private async keep(before: TuningState, state: TuningState, reason: string | null): Promise<void> {
    const { controls, logger } = this.options;
    try {
      await controls.tune(this.changed(state.dials, before.dials), JSON.stringify(state), reason);
    } catch (error) {
      // The run has just ended.
      if (ForgeError.from(error).code === 'CONFLICT_STATE') return;
      throw error;
    }
    if (reason !== null) logger.info({ from: before.dials, to: state.dials }, reason);
  }

  /** The tuned dials that are others than before. */
  private changed(dials: Dials, before: Partial<Dials>): Partial<Dials> {
    const { ranges } = this.rules;
    return Object.fromEntries(
      DIALS.filter((dial) => ranges[dial] !== undefined && dials[dial] !== before[dial]).map((dial) => [
        dial,
        dials[dial],
      ]),
    );
  }

  /** Null for a first step, and for one that trained nothing. */
  private figuresOf(row: Values): StepFigures | null {
    const seconds = (row['time/elapsed_s'] ?? NaN) - (this.elapsedSeconds ?? NaN);
    const tokens = row['tokens/trained'];
    const effectiveSampleSize = row['ratio/effective_sample_size'];
    if (!(seconds > 0) || tokens === undefined || effectiveSampleSize === undefined) return null;
    return {
      ...{ seconds, tokens, effectiveSampleSize },
      trainerWaits: Math.min(1, (row['time/wait_ms'] ?? 0) / 1000 / seconds),
      policiesIdle: row['idle/policy'] ?? 0,
      lag: row['lag/mean'] ?? 0,
      behaviourKl: row['kl/behaviour'] ?? 0,
      clipFraction: row['ratio/clip_fraction'] ?? 0,
    };
  }
}

function rulesOf(recipe: Recipe): TuningRules {
  const { tuning, maxStaleness, limits } = recipe;
  const { effectiveSampleSize, behaviourKl, clipFraction } = tuning;
  const pace: DialRange = { least: Math.min(tuning.leastPace, maxStaleness), most: maxStaleness };
  const groupsInFlight: DialRange = { least: 1, most: limits.queuedGroups };
  return {
    ranges: { ...(tuning.pace && { pace }), ...(tuning.groupsInFlight && { groupsInFlight }) },
    floors: { effectiveSampleSize, behaviourKl, clipFraction },
    groupsPerStep: candidatesPerBatch(recipe),
  };
}

/** Dials of the first step: one batch is generated while another one is trained. */
function firstDials(recipe: Recipe, { ranges, groupsPerStep }: TuningRules): Dials {
  const { maxStaleness, limits } = recipe;
  const pace =
    ranges.pace === undefined ? maxStaleness : Math.min(maxStaleness, Math.max(1, ranges.pace.least));
  const groups = ranges.groupsInFlight === undefined ? limits.queuedGroups : 2 * groupsPerStep;
  return { pace, groupsInFlight: Math.min(limits.queuedGroups, groups) };
}
