import type { RunState } from '@forge/broker';
import { carriedWorth, SCHEMA_VERSION, type Worth } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Logger } from '@forge/telemetry';
import { selectBatch, type SelectionRules } from '../domain/batch-selection';
import { batchStatistics, judgeBatch, type Candidate } from '../domain/candidate';
import type { Judge } from '../domain/judgement';
import { recordBuffer, recordEnd } from './buffer-spans';

/** Batches formed but not trained yet at most: the one in training, and one for when that is done. */
const BATCHES_AHEAD = 2;
/** Batches in a row without an informative group that a run says so after. */
const BARREN_BATCHES = 3;

export interface BatchRules extends Omit<SelectionRules, 'maxStaleness' | 'refilled'> {
  /** Fate of groups in flight for which no later batch than the next comes in time. */
  stragglers: 'wait' | 'drop';
}

/**
 * Keeps the buffered candidates and forms each batch as soon as it can be formed. Redis has the buffer, this only knows
 * it: where another replay buffer of the run is at work, one that was taken for dead say, it is read again.
 */
export class BatchFormer {
  private candidates = new Map<number, Candidate>();
  private evicted = 0;
  /** Candidates of the next batch that were replaced, as far as this process knows. */
  private replaced: Candidate[] = [];
  private barren = 0;
  private isFull = false;
  private forming: Promise<void> = Promise.resolve();

  constructor(
    private readonly runState: Pick<
      RunState,
      | 'version'
      | 'nextBatch'
      | 'formBatch'
      | 'discard'
      | 'refill'
      | 'refilled'
      | 'bufferedGroups'
      | 'bufferedCount'
      | 'versionsInFlight'
    > & { controls: Pick<RunState['controls'], 'steering'> },
    private readonly rules: BatchRules,
    private readonly algorithm: Pick<Judge, 'acrossBatch'>,
    private readonly logger: Logger,
  ) {}

  /** Takes over what an earlier replay buffer of the run has stored. */
  async restore(): Promise<void> {
    const buffered = (await this.runState.bufferedGroups()) as unknown as Candidate[];
    this.candidates = new Map(buffered.map((candidate) => [candidate.index, candidate]));
  }

  /** True when as many batches are formed ahead of the trainer as may be. */
  get isAhead(): boolean {
    return this.isFull;
  }

  add(candidate: Candidate): void {
    this.candidates.set(candidate.index, candidate);
  }

  /** Forms the batches that are due; calls take turns. */
  form(): Promise<void> {
    this.forming = this.forming.then(() => this.formDue());
    return this.forming;
  }

  private async formDue(): Promise<void> {
    for (;;) {
      const [version, step, count, refilled, { maxStaleness }] = await Promise.all([
        this.runState.version(),
        this.runState.nextBatch(),
        this.runState.bufferedCount(),
        this.runState.refilled(),
        this.runState.controls.steering(),
      ]);
      if (count !== this.candidates.size) await this.restore();
      this.isFull = step >= version + BATCHES_AHEAD;
      if (this.isFull || !(await this.formStep(step, { maxStaleness, refilled }))) return;
    }
  }

  private async formStep(
    step: number,
    now: Required<Pick<SelectionRules, 'maxStaleness' | 'refilled'>>,
  ): Promise<boolean> {
    await this.letGoOfDropped(step);
    const rules = { ...this.rules, ...now };
    const { stale, refill, batch } = selectBatch(step, [...this.candidates.values()], rules);
    if (stale.length > 0) {
      await this.runState.discard(indicesOf(stale), 'stale');
      this.forget(stale);
      for (const candidate of stale) recordEnd(candidate, 'stale', step);
      this.evicted += stale.length;
    }
    if (refill.length > 0) {
      await this.replace(refill, step);
      return true;
    }
    if (batch === null || (await this.hasStragglers(step, now.maxStaleness))) return false;

    const { selected, notSelected } = batch;
    const worths = await this.judge(selected, step);
    if (worths === null) return true;
    const statistics = {
      ...batchStatistics([...selected, ...notSelected, ...this.replaced]),
      'groups/refilled': now.refilled,
      'groups/discarded': this.evicted,
      'groups/discarded_share': this.evicted / (this.evicted + selected.length + notSelected.length),
    };
    const groups = selected.map(({ index, trace }, i) => ({
      index,
      advantages: worths[i]!.map((worth) => (worth === null ? null : carriedWorth(worth))),
      ...(trace && { trace: { traceparent: trace.traceparent, admittedAtMs: trace.admittedAtMs } }),
    }));
    try {
      await this.runState.formBatch(
        { schemaVersion: SCHEMA_VERSION.batch, version: step, groups, statistics },
        indicesOf(notSelected),
      );
    } catch (error) {
      if (!(error instanceof ForgeError)) throw error;
      // The bound was lowered in this moment: candidates too old for the new one go next time.
      if (error.code === 'STALE_EPISODE') return true;
      if (error.code !== 'CONFLICT_STATE') throw error;
      // A predecessor that was taken for dead formed the batch: Redis's state counts.
      this.logger.warn({ err: error, step }, 'buffer read again');
      await this.restore();
      return true;
    }
    this.evicted = 0;
    this.replaced = [];
    this.warnOfBarren(selected, step);
    this.forget(selected);
    this.forget(notSelected);
    for (const candidate of selected) recordBuffer(candidate, 'batched', step);
    for (const candidate of notSelected) recordEnd(candidate, 'not-selected', step);
    return true;
  }

  /** Whether groups in flight would be too old for the batch after this one, and are to be waited for. */
  private async hasStragglers(step: number, maxStaleness: number): Promise<boolean> {
    if (this.rules.stragglers === 'drop' || maxStaleness === Infinity) return false;
    const versions = await this.runState.versionsInFlight();
    return versions.includes(step - maxStaleness);
  }

  /** Has others drawn in place of candidates. */
  private async replace(candidates: readonly Candidate[], step: number): Promise<void> {
    const done = await this.runState.refill(step, indicesOf(candidates), this.rules.refill ?? 0);
    this.forget(candidates);
    // Another replay buffer of the run was quicker: Redis's state counts.
    if (done === 0) return this.restore();
    this.replaced.push(...candidates);
    for (const candidate of candidates) recordEnd(candidate, 'uninformative', step);
  }

  private warnOfBarren(selected: readonly Candidate[], step: number): void {
    this.barren = selected.some(({ informative }) => informative) ? 0 : this.barren + 1;
    if (this.barren !== BARREN_BATCHES) return;
    const message = `no group of the last ${BARREN_BATCHES} batches has anything to teach: all completions of a prompt are worth the same`;
    this.logger.warn({ step }, message);
  }

  /** Discards groups of which every rollout is dropped: others are rolled out in their place. */
  private async letGoOfDropped(step: number): Promise<void> {
    const empty = [...this.candidates.values()].filter(
      ({ dropped, rewards }) => dropped.length > 0 && dropped.length === rewards.length,
    );
    if (empty.length === 0) return;
    await this.runState.discard(indicesOf(empty), 'truncated');
    this.forget(empty);
    for (const candidate of empty) recordEnd(candidate, 'truncated', step);
  }

  /**
   * The worth of the episodes of a batch. Null when the algorithm fails on it: the group to blame is given up then, or all of
   * them where none can be told.
   */
  private async judge(selected: readonly Candidate[], step: number): Promise<(Worth | null)[][] | null> {
    try {
      return judgeBatch(selected, this.algorithm);
    } catch (error) {
      // The outcome depends on the groups and the algorithm alone: trying again would give the same.
      const failure = ForgeError.from(error);
      const { index: blame } = failure.details as { index?: unknown };
      const blamed = selected.filter(({ index }) => index === blame);
      const givenUp = blamed.length > 0 ? blamed : selected;
      const { code, message } = failure;
      const letter = { code, message, attempts: 1, payload: '' };
      await this.runState.discard(indicesOf(givenUp), 'invalid', letter);
      this.forget(givenUp);
      for (const candidate of givenUp) recordEnd(candidate, 'invalid', step);
      this.logger.warn({ err: failure, step, groups: indicesOf(givenUp) }, 'groups given up');
      return null;
    }
  }

  private forget(candidates: readonly Candidate[]): void {
    for (const { index } of candidates) this.candidates.delete(index);
  }
}

function indicesOf(candidates: readonly Candidate[]): number[] {
  return candidates.map(({ index }) => index);
}
