import { randomUUID } from 'node:crypto';
import {
  check,
  stepProgressSchema,
  type Batch,
  type RolloutJob,
  type StepProgress,
  type TelemetryEvent,
  type WeightsAnnouncement,
} from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import type { Admission } from '../groups/admission';
import type { GroupOrigin } from '../groups/group-record';
import * as scripts from '../groups/group-scripts';
import { ledgerOf, type Ledger } from '../groups/ledger';
import { readLedgerSnapshot, type LedgerSnapshot } from '../groups/ledger-snapshot';
import { jobStanding, type JobStanding } from '../jobs/job-standing';
import { CONSUMER_GROUP, runKeys, stateKeys, type RunKeys } from '../keys';
import { StreamReader } from '../redis/stream-reader';
import { SessionDirectory } from '../sessions/session-directory';
import { DeadLetters, type Failure } from '../refused/dead-letters';
import { Rejections } from '../refused/rejections';
import { BatchStream, type LeasedBatch } from '../streams/batch-stream';
import { TelemetryStream, type TelemetryEntry } from '../streams/telemetry-stream';
import { WeightVersions, type Rollback } from '../streams/weight-versions';
import { CurriculumState } from './curriculum-state';
import { FOREIGN_SCRIPTS } from './foreign-scripts';
import { GroupFlow, staleCoordinator, type BufferedGroup, type StreamedGroup } from './group-flow';
import { checkRelease, releaseField } from './release';
import { Resumption } from './resumption';
import { BOUNDS, type RunBounds, type RunSettings } from './run-bounds';
import { RunControls, steeringFields } from './run-controls';
import { expireRun, removeRun } from './run-removal';
import { WeightSources } from './weight-sources';

export type RunPhase = 'running' | 'stopping' | 'finished' | 'failed';

/**
 * The state of one run in Redis. Every change is one atomic script, so that several coordinators, or one that was
 * killed and restarted, can neither admit too much nor train anything twice.
 */
export class RunState {
  readonly keys: RunKeys;
  readonly deadLetters: DeadLetters;
  readonly resumption: Resumption;
  readonly weights: WeightVersions;
  /** Processes that give blobs to hosts without the disk of the trainer. */
  readonly weightSources: WeightSources;
  readonly controls: RunControls;
  readonly curriculum: CurriculumState;
  /** Sessions of agents, where these make the rollouts. */
  readonly sessions: SessionDirectory;
  /** Messages that were refused. */
  readonly rejections: Rejections;
  private readonly bounds: RunBounds;
  private readonly streams: StreamReader;
  private readonly groups: GroupFlow;
  private readonly batches: BatchStream;
  private readonly telemetry: TelemetryStream;

  /** `claimIdleMs`: `readGroups` takes over an entry that its reader has not acknowledged for so long. */
  constructor(
    private readonly redis: Redis,
    readonly runId: string,
    bounds: Partial<RunBounds> = {},
    { claimIdleMs = 10_000 }: { claimIdleMs?: number } = {},
  ) {
    this.keys = runKeys(runId);
    this.bounds = { ...BOUNDS, ...bounds };
    this.streams = new StreamReader(redis, claimIdleMs);
    this.deadLetters = new DeadLetters(redis, this.keys, this.bounds.deadLetters);
    this.resumption = new Resumption(redis, runId, this.keys);
    this.rejections = new Rejections(redis, this.keys, this.bounds.deadLetters);
    this.weights = new WeightVersions(redis, this.keys, this.streams, this.rejections);
    this.weightSources = new WeightSources(redis, runId);
    this.controls = new RunControls(redis, this.keys, this.bounds.telemetry);
    this.curriculum = new CurriculumState(redis, this.keys);
    this.sessions = new SessionDirectory(redis, this.keys);
    this.groups = new GroupFlow(redis, this.keys, this.streams, this.bounds);
    this.batches = new BatchStream(redis, this.keys, this.streams, this.rejections, this.bounds.telemetry);
    this.telemetry = new TelemetryStream(redis, this.keys, this.streams, this.bounds.telemetry);
  }

  /**
   * Makes the run, whole or not at all.
   *
   * @throws {ForgeError} CONFLICT_STATE when the run exists already.
   */
  async create(config: unknown, settings: RunSettings): Promise<void> {
    const { run, config: configKey, groups, batches, scripts: scriptsKey } = this.keys;
    const first = [run, configKey, groups, batches, scriptsKey];
    const others = stateKeys(this.keys).filter((key) => !first.includes(key));
    const fields = {
      state: 'running',
      version: 0,
      epoch: 0,
      started: 0,
      nextIndex: 0,
      nextBatch: 0,
      candidates: settings.candidatesPerBatch,
      ...steeringFields(settings),
      ...releaseField,
    };
    const sources = Object.entries(FOREIGN_SCRIPTS).flat();
    const args = [randomUUID(), CONSUMER_GROUP, JSON.stringify(config), sources.length, ...sources];
    args.push(...Object.entries(fields).flat());
    const result = await scripts.create.run(this.redis, [...first, ...others], args);
    if (result === 'exists') {
      throw new ForgeError('CONFLICT_STATE', `run ${this.runId} exists already`, { runId: this.runId });
    }
  }

  /** @throws {ForgeError} CONFLICT_STATE when there is no such run. */
  async config(): Promise<unknown> {
    const text = await this.redis.get(this.keys.config);
    if (text !== null) return JSON.parse(text) as unknown;
    throw this.gone();
  }

  /** @throws {ForgeError} CONFLICT_STATE when there is no such run, as when its state has expired. */
  async phase(): Promise<{ phase: RunPhase; message: string | null }> {
    const [state, message] = await this.redis.hmget(this.keys.run, 'state', 'message');
    if (typeof state !== 'string') throw this.gone();
    return { phase: state as RunPhase, message: message ?? null };
  }

  /** @throws {ForgeError} CONFIG_INVALID when this release does not work beside that of the run. */
  checkRelease(): Promise<void> {
    return checkRelease(this.redis, this.keys, this.runId);
  }

  private gone(): ForgeError {
    const message = `no run ${this.runId} in this Redis: it was not made there, or its state has expired (limits.keepStateHours) or was removed`;
    return new ForgeError('CONFLICT_STATE', message, { runId: this.runId });
  }

  /** Moves the run on and wakes everyone. */
  async setPhase(phase: RunPhase, message?: string): Promise<void> {
    await this.redis.hset(this.keys.run, { state: phase, ...(message === undefined ? {} : { message }) });
    await this.redis.xadd(this.keys.signals, 'MAXLEN', '~', 100, '*', 'what', phase);
  }

  /** Says why the run waits; null when it goes on. */
  async setWaitingFor(what: string | null): Promise<void> {
    await this.redis.hset(this.keys.run, 'waitingFor', what ?? '');
    await this.emit({ kind: 'waiting', for: what });
  }

  /** Reason why the run waits; null while it goes on. */
  async waitingFor(): Promise<string | null> {
    return (await this.redis.hget(this.keys.run, 'waitingFor')) || null;
  }

  /** Says how far the step under way is. */
  async setProgress(progress: StepProgress): Promise<void> {
    await this.redis.hset(this.keys.run, 'progress', JSON.stringify(progress));
    await this.emit({ kind: 'progress', progress });
  }

  /** How far the step under way is, as it was said last; null before its first word. */
  async progress(): Promise<StepProgress | null> {
    const [text, version] = await this.redis.hmget(this.keys.run, 'progress', 'version');
    if (!text) return null;
    const progress = check(stepProgressSchema, JSON.parse(text), 'progress of the step');
    return progress.step === Number(version ?? 0) + 1 ? progress : null;
  }

  /** Optimizer steps applied. */
  async version(): Promise<number> {
    return Number((await this.redis.hget(this.keys.run, 'version')) ?? 0);
  }

  /** The step whose batch is formed next. */
  async nextBatch(): Promise<number> {
    return Number((await this.redis.hget(this.keys.run, 'nextBatch')) ?? 0);
  }

  /** Makes the caller the run's trainer; an earlier one can't commit any more. */
  newEpoch(): Promise<number> {
    return this.redis.hincrby(this.keys.run, 'epoch', 1);
  }

  /**
   * Makes the caller the run's coordinator; an earlier one can't admit any more. From here on parts in other languages
   * call the scripts of its release.
   */
  async newCoordinator(): Promise<number> {
    const coordinator = await this.redis.hincrby(this.keys.run, 'coordinator', 1);
    await this.redis.hset(this.keys.run, releaseField);
    await this.redis.hset(this.keys.scripts, FOREIGN_SCRIPTS);
    return coordinator;
  }

  /** @throws {ForgeError} STALE_EPOCH when another coordinator took over. */
  async checkCoordinator(coordinator: number): Promise<void> {
    if (Number((await this.redis.hget(this.keys.run, 'coordinator')) ?? 0) !== coordinator)
      throw staleCoordinator(coordinator);
  }

  /**
   * Admits up to `limit` groups, as many as the staleness bound allows, on behalf of a coordinator (0: of a run that has
   * none).
   *
   * @throws {ForgeError} STALE_EPOCH when another coordinator took over.
   *
   * Edge: a coordinator that dies before it queued the jobs leaves admitted groups without one; its successor reads
   * `pendingGroups` and queues them again. So does a coordinator that lost the answer of this call.
   */
  admit(limit: number, coordinator = 0): Promise<Admission[]> {
    return this.groups.admit(limit, coordinator);
  }

  /** Groups that were admitted and have no result yet, oldest first. */
  pendingGroups(): Promise<Admission[]> {
    return this.groups.pendingGroups();
  }

  /** Notes the version of the oldest token that a group in flight will have. */
  beginGroup(index: number, oldestVersion: number): Promise<void> {
    return this.groups.beginGroup(index, oldestVersion);
  }

  /** Versions of the oldest tokens of the groups in flight that are begun. */
  versionsInFlight(): Promise<number[]> {
    return this.groups.versionsInFlight();
  }

  /**
   * Puts a finished group on the way to the replay buffer; a second call for the same group changes nothing. `origin`
   * goes into its record; `event` is told when the group is accepted, and only then.
   */
  publishGroup(
    index: number,
    payload: Buffer,
    origin?: GroupOrigin,
    event?: TelemetryEvent,
  ): Promise<'accepted' | 'duplicate' | 'full'> {
    return this.groups.publishGroup(index, payload, origin, event);
  }

  /**
   * Finished groups, waiting up to `blockMs` for one: first those this consumer, or its predecessor of the same name, was
   * given and has not acknowledged, then those another reader left behind.
   */
  readGroups(consumer: string, count: number, blockMs: number): Promise<StreamedGroup[]> {
    return this.groups.readGroups(consumer, count, blockMs);
  }

  /**
   * Moves a group from the stream to the buffer. `duplicate`: it is there already or was given up; nothing is left to
   * do. A call that ioredis sent again after a lost connection may say so of the group it stored itself. `unknown`: there
   * is no such group, and the entry is to be rejected.
   */
  storeGroup(
    entryId: string,
    group: BufferedGroup,
    payload: Buffer,
  ): Promise<'stored' | 'duplicate' | 'unknown'> {
    return this.groups.storeGroup(entryId, group, payload);
  }

  /**
   * Gives up a group whose message is invalid (`entryId`) or whose job failed for good: its admission returns, and the
   * failure becomes a dead letter. False when there was nothing to give up any more.
   */
  rejectGroup(
    group: { entryId?: string; index: number | null },
    reason: string,
    failure: Failure,
  ): Promise<boolean> {
    return this.groups.rejectGroup(group, reason, failure);
  }

  /** Gives up a group in flight that can only be stale when it is done; false when it is not in flight any more. */
  dropStale(index: number): Promise<boolean> {
    return this.groups.dropStale(index);
  }

  /** Groups that the replay buffer holds, by index. */
  bufferedGroups(): Promise<BufferedGroup[]> {
    return this.groups.bufferedGroups();
  }

  /** How many groups the replay buffer holds. */
  bufferedCount(): Promise<number> {
    return this.groups.bufferedCount();
  }

  /** Discards buffered groups; their admission returns. With a failure each leaves a dead letter. */
  discard(indices: readonly number[], reason: string, failure?: Failure): Promise<number> {
    return this.groups.discard(indices, reason, failure);
  }

  /**
   * Discards candidates of the next batch that have nothing to teach, so that others are drawn in their place: their admission
   * returns. How many; 0 where nothing was done, since another batch is due or more than `most` would be drawn anew for it.
   */
  refill(step: number, indices: readonly number[], most: number): Promise<number> {
    return this.groups.refill(step, indices, most);
  }

  /** Groups that were drawn anew for the next batch so far. */
  refilled(): Promise<number> {
    return this.groups.refilled();
  }

  /**
   * Forms the batch of a step from buffered groups; `others` are candidates it consumes without training on them.
   * The same call again, before another batch is formed, changes nothing.
   *
   * @throws {ForgeError} STALE_EPISODE when a group is too old for the step; CONFLICT_STATE when another batch is due,
   *   a group is not buffered, or there are not as many groups and others as a batch consumes.
   */
  formBatch(batch: Batch, others: readonly number[]): Promise<void> {
    return this.batches.form(batch, others);
  }

  /**
   * The next batch to train, one that was handed out before and not committed first; null when none is formed. An invalid
   * entry becomes a dead letter.
   */
  readBatch(consumer: string, blockMs: number): Promise<LeasedBatch | null> {
    return this.batches.read(consumer, blockMs);
  }

  /**
   * Ends a step: its groups are trained, the new weights announced and its metrics told. Repeating it changes nothing.
   * `rolledBack`: the new weights are those of an earlier version, and the groups are discarded.
   *
   * @throws {ForgeError} STALE_EPOCH when another trainer took over.
   */
  commitStep(
    step: number,
    announcement: WeightsAnnouncement,
    rolledBack?: Rollback,
    metrics: Readonly<Record<string, number>> = {},
  ): Promise<void> {
    return this.batches.commit(step, announcement, rolledBack, metrics);
  }

  emit(event: TelemetryEvent): Promise<void> {
    return this.telemetry.write(event);
  }

  /** Telemetry after `afterId` ('0' for all that is kept), waiting up to `blockMs` for some. */
  readTelemetry(afterId: string, blockMs: number): Promise<TelemetryEntry[]> {
    return this.telemetry.read(afterId, blockMs);
  }

  /** Whether a job is still to be done. */
  standing(job: RolloutJob): Promise<JobStanding> {
    return jobStanding(this.redis, this.keys, job);
  }

  /** Waits until something of the run changed after `afterId`, or `blockMs` passed; the id to wait after next. */
  async waitForSignal(afterId: string, blockMs: number): Promise<string> {
    const entries = await this.streams.readAfter(this.keys.signals, afterId, 100, blockMs);
    return entries.at(-1)?.id ?? afterId;
  }

  async ledger(): Promise<Ledger> {
    return ledgerOf(await this.redis.hgetall(this.keys.ledger));
  }

  /** All that the ledger counts, where it is, at one moment. */
  ledgerSnapshot(): Promise<LedgerSnapshot> {
    return readLedgerSnapshot(this.redis, this.keys);
  }

  /** Deletes everything of the run. */
  remove(): Promise<void> {
    return removeRun(this.redis, this.runId);
  }

  /** Lets all that there is of the run expire after so long, unless it is called again. */
  expire(afterMs: number): Promise<void> {
    return expireRun(this.redis, this.runId, afterMs);
  }

  /**
   * Ends the connections of the blocking readers; the one given to the constructor is its owner's. Readers that wait,
   * and later ones, find nothing.
   */
  close(): void {
    this.streams.close();
  }
}
