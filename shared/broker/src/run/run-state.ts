import {
  check,
  encode,
  stepProgressSchema,
  type Batch,
  type RolloutJob,
  type StepProgress,
  type TelemetryEvent,
  type WeightsAnnouncement,
} from '@forge/contracts';
import { randomUUID } from 'node:crypto';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import { admissionOf, type Admission } from '../groups/admission';
import { BatchStream, type LeasedBatch } from '../streams/batch-stream';
import { DeadLetters, letterOf, type Failure } from '../refused/dead-letters';
import { originNote, type GroupOrigin } from '../groups/group-record';
import { CONSUMER_GROUP, runKeys, stateKeys, type RunKeys } from '../keys';
import { ledgerOf, type Ledger } from '../groups/ledger';
import { readLedgerSnapshot, type LedgerSnapshot } from '../groups/ledger-snapshot';
import { Resumption } from './resumption';
import { BOUNDS, type RunBounds, type RunSettings } from './run-bounds';
import { RunControls, steeringFields } from './run-controls';
import { expireRun, removeRun } from './run-removal';
import * as scripts from '../groups/group-scripts';
import { jobStanding, type JobStanding } from '../jobs/job-standing';
import { fieldOf, Rejections } from '../refused/rejections';
import type { Script } from '../redis/script';
import { StreamReader } from '../redis/stream-reader';
import { TelemetryStream, type TelemetryEntry } from '../streams/telemetry-stream';
import { WeightVersions, type Rollback } from '../streams/weight-versions';

export type RunPhase = 'running' | 'stopping' | 'finished' | 'failed';

/** What the replay buffer keeps of a group besides its episodes. */
export interface BufferedGroup {
  index: number;
  /** Version of the group's oldest token. */
  version: number;
  [field: string]: unknown;
}

export interface StreamedGroup {
  entryId: string;
  index: number;
  payload: Buffer;
}

/**
 * The state of one run in Redis. Every change is one atomic script, so that several coordinators, or one that was
 * killed and restarted, can neither admit too much nor train anything twice.
 */
export class RunState {
  readonly keys: RunKeys;
  readonly deadLetters: DeadLetters;
  readonly resumption: Resumption;
  readonly weights: WeightVersions;
  readonly controls: RunControls;
  /** Messages that were refused. */
  readonly rejections: Rejections;
  private readonly bounds: RunBounds;
  private readonly streams: StreamReader;
  private readonly batches: BatchStream;
  private readonly telemetry: TelemetryStream;
  private readonly instance = randomUUID();
  private calls = 0;

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
    this.controls = new RunControls(redis, this.keys, this.bounds.telemetry);
    this.batches = new BatchStream(redis, this.keys, this.streams, this.rejections, this.bounds.telemetry);
    this.telemetry = new TelemetryStream(redis, this.keys, this.streams, this.bounds.telemetry);
  }

  /**
   * Makes the run, whole or not at all.
   *
   * @throws {ForgeError} CONFLICT_STATE when the run exists already.
   */
  async create(config: unknown, settings: RunSettings): Promise<void> {
    const { run, config: configKey, episodes, batches } = this.keys;
    const first = [run, configKey, episodes, batches];
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
    };
    const result = await this.run(
      scripts.create,
      [...first, ...others],
      [this.callId(), CONSUMER_GROUP, JSON.stringify(config), ...Object.entries(fields).flat()],
    );
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

  private gone(): ForgeError {
    const message = `no run ${this.runId} in this Redis: it was not made there, or its state has expired (limits.keepStateHours) or was removed`;
    return new ForgeError('CONFLICT_STATE', message, { runId: this.runId });
  }

  /** Moves the run on and wakes everyone. */
  async setPhase(phase: RunPhase, message?: string): Promise<void> {
    await this.redis.hset(this.keys.run, { state: phase, ...(message === undefined ? {} : { message }) });
    await this.redis.xadd(this.keys.signals, 'MAXLEN', '~', 100, '*', 'what', phase);
  }

  /** Says what the run waits for; null when it goes on. */
  async setWaitingFor(what: string | null): Promise<void> {
    await this.redis.hset(this.keys.run, 'waitingFor', what ?? '');
    await this.emit({ kind: 'waiting', for: what });
  }

  /** What the run waits for, null while it goes on. */
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

  /** Makes the caller the run's coordinator; an earlier one can't admit any more. */
  newCoordinator(): Promise<number> {
    return this.redis.hincrby(this.keys.run, 'coordinator', 1);
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
   * `pendingGroups` and queues them again. So does whoever lost the answer of this call.
   */
  async admit(limit: number, coordinator = 0): Promise<Admission[]> {
    const { run, ledger, groups, pending, versions, replays } = this.keys;
    const answer = await this.run(
      scripts.admit,
      [run, ledger, groups, pending, versions, replays],
      [limit, this.bounds.inFlight, this.callId(), this.bounds.history, this.bounds.held, coordinator],
    );
    if (answer === 'stale') throw staleCoordinator(coordinator);
    const flat = answer as (number | string)[];
    return Array.from({ length: flat.length / 3 }, (_, i) =>
      admissionOf(flat[3 * i]!, flat[3 * i + 1]!, String(flat[3 * i + 2])),
    );
  }

  /** Groups that were admitted and have no result yet, oldest first. */
  async pendingGroups(): Promise<Admission[]> {
    const all = await this.redis.hgetall(this.keys.pending);
    return Object.entries(all)
      .map(([index, stored]) => {
        const [minVersion = '', replayed = ''] = stored.split(' ');
        return admissionOf(index, minVersion, replayed);
      })
      .sort((a, b) => a.index - b.index);
  }

  /**
   * Puts a finished group on the way to the replay buffer; a second call for the same group changes nothing. `origin`
   * goes into its record; `event` is told when the group is accepted, and only then.
   */
  async publishGroup(
    index: number,
    payload: Buffer,
    origin?: GroupOrigin,
    event?: TelemetryEvent,
  ): Promise<'accepted' | 'duplicate' | 'full'> {
    const { groups, pending, episodes, telemetry } = this.keys;
    const { episodes: cap, telemetry: telemetryCap } = this.bounds;
    const note = origin === undefined ? '' : originNote(origin);
    const told = event === undefined ? '' : encode(event);
    const result = await this.run(
      scripts.publishGroup,
      [groups, pending, episodes, telemetry],
      [index, payload, cap, note, told, telemetryCap],
    );
    return result as 'accepted' | 'duplicate' | 'full';
  }

  /**
   * Finished groups, waiting up to `blockMs` for one: first those this consumer, or its predecessor of the same name, was
   * given and has not acknowledged, then those another reader left behind.
   */
  async readGroups(consumer: string, count: number, blockMs: number): Promise<StreamedGroup[]> {
    const { episodes } = this.keys;
    let entries = await this.streams.readOwn(episodes, consumer, count);
    if (entries.length === 0) entries = await this.streams.claim(episodes, consumer, count);
    if (entries.length === 0) entries = await this.streams.readNew(episodes, consumer, count, blockMs);
    return entries.map(({ id, fields }) => ({
      entryId: id,
      index: Number(fields.get('index')?.toString() ?? Number.NaN),
      payload: fields.get('payload') ?? Buffer.alloc(0),
    }));
  }

  /**
   * Moves a group from the stream to the buffer. `duplicate`: it is there already or was given up; nothing is left to
   * do. A call that ioredis sent again after a lost connection may say so of the group it stored itself. `unknown`: there
   * is no such group, and what came is to be rejected.
   */
  async storeGroup(
    entryId: string,
    group: BufferedGroup,
    payload: Buffer,
  ): Promise<'stored' | 'duplicate' | 'unknown'> {
    const { groups, ledger, episodes, buffer, payloads, signals } = this.keys;
    const keys = [groups, ledger, episodes, buffer, payloads, signals];
    const args = [CONSUMER_GROUP, entryId, group.index, JSON.stringify(group), payload];
    return (await this.run(scripts.storeGroup, keys, args)) as 'stored' | 'duplicate' | 'unknown';
  }

  /**
   * Gives up a group that came as nonsense (`entryId`) or whose job failed for good: its admission returns, and what is
   * known of the failure becomes a dead letter. False when there was nothing to give up any more.
   */
  async rejectGroup(
    { entryId, index }: { entryId?: string; index: number | null },
    reason: string,
    failure: Failure,
  ): Promise<boolean> {
    const { groups, run, deadLetters, deadLetterOrder, ledger, pending, episodes, signals, rejected } =
      this.keys;
    const keys = [groups, run, deadLetters, deadLetterOrder, ledger, pending, episodes, signals, rejected];
    const kind = entryId === undefined ? 'rollout' : 'message';
    const id = entryId === undefined ? `r-${index ?? ''}` : `m-${entryId}`;
    const letter = letterOf({ kind, index }, failure);
    const count = fieldOf('episodes', failure.reason ?? failure.code);
    const args = [
      id,
      letter,
      this.bounds.deadLetters,
      CONSUMER_GROUP,
      entryId ?? '',
      index ?? '',
      reason,
      count,
    ];
    return (await this.run(scripts.rejectGroup, keys, args)) === 1;
  }

  /** What the replay buffer holds, by index. */
  async bufferedGroups(): Promise<BufferedGroup[]> {
    const all = await this.redis.hvals(this.keys.buffer);
    return all.map((text) => JSON.parse(text) as BufferedGroup).sort((a, b) => a.index - b.index);
  }

  /** How many groups the replay buffer holds. */
  bufferedCount(): Promise<number> {
    return this.redis.hlen(this.keys.buffer);
  }

  /** Discards buffered groups; their admission returns. */
  async discard(indices: readonly number[], reason: string): Promise<number> {
    if (indices.length === 0) return 0;
    const { groups, ledger, run, buffer, payloads, signals } = this.keys;
    return (await this.run(
      scripts.discard,
      [groups, ledger, run, buffer, payloads, signals],
      [reason, ...indices],
    )) as number;
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
   * The next batch to train, one that was handed out before and not committed first; null when there is none yet. What
   * comes and is none becomes a dead letter.
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

  /** Names one call, however often it is sent. */
  private callId(): string {
    return `${this.instance}-${++this.calls}`;
  }

  private run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ): Promise<unknown> {
    return script.run(this.redis, keys, args);
  }
}

function staleCoordinator(coordinator: number): ForgeError {
  return new ForgeError('STALE_EPOCH', `coordinator ${coordinator} was replaced by another one`, {
    coordinator,
  });
}
