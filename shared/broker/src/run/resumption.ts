import { encode, type TelemetryEvent } from '@forge/contracts';
import type { Redis } from 'ioredis';
import { CONSUMER_GROUP, stateKeys, type RunKeys } from '../keys';
import { FOREIGN_SCRIPTS } from './foreign-scripts';
import { releaseField } from './release';
import { steeringFields } from './run-controls';
import type { RunSettings } from './run-bounds';
import { removeRun } from './run-removal';
import { Script } from '../redis/script';

/** Place of a run in its prompts at a version. */
export interface Position {
  /** The next prompt, when those that were trained, not selected or given up by then are left out. */
  nextIndex: number;
  /** Groups trained. */
  trained: number;
}

/** Facts that a new state of a run is made from. */
export interface Restart extends Position {
  version: number;
  /** The trainers so far; the next one has a higher number. */
  epoch: number;
}

/** Why groups before the checkpoint were discarded is in the state that is gone. */
const BEFORE = 'before-resume';

/**
 * Lets a run that is over go on where it was.
 * KEYS run, config, signals, telemetry
 * ARGV config, telemetry event, then field, value ... of what steers the run
 * Returns the id of the telemetry event. Sent twice, it tells the event twice.
 */
const reopen = new Script(`
redis.call('SET', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'state', 'running', 'waitingFor', '', unpack(ARGV, 3))
redis.call('HDEL', KEYS[1], 'message', 'rollbacksInARow', 'paused')
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 100, '*', 'what', 'running')
return redis.call('XADD', KEYS[4], '*', 'event', ARGV[2])
`);

/**
 * Makes the state of a run that goes on from a checkpoint, whole or not at all. What is there of an older one is deleted.
 * KEYS run, config, groups, batches, ledger, telemetry, scripts, then every other key of the run
 * ARGV consumer group, config, telemetry event, number of fields and values of the ledger, these, number of names and
 *   sources of scripts, these, then fields and values of the run
 * Returns the id of the telemetry event. Sent twice before anything uses it, it does the same again.
 */
const restore = new Script(`
redis.call('DEL', unpack(KEYS))
redis.call('SET', KEYS[2], ARGV[2])
local counts = tonumber(ARGV[4])
redis.call('HSET', KEYS[5], unpack(ARGV, 5, 4 + counts))
local sources = tonumber(ARGV[5 + counts])
redis.call('HSET', KEYS[7], unpack(ARGV, 6 + counts, 5 + counts + sources))
redis.call('HSET', KEYS[1], unpack(ARGV, 6 + counts + sources))
redis.call('XGROUP', 'CREATE', KEYS[3], ARGV[1], '0', 'MKSTREAM')
redis.call('XGROUP', 'CREATE', KEYS[4], ARGV[1], '0', 'MKSTREAM')
return redis.call('XADD', KEYS[6], '*', 'event', ARGV[3])
`);

const RESUMED: TelemetryEvent = { kind: 'run', state: 'resumed' };

/** Makes a run that is over go on. No service of it may run meanwhile. */
export class Resumption {
  constructor(
    private readonly redis: Redis,
    private readonly runId: string,
    private readonly keys: RunKeys,
  ) {}

  /** Place of the run when `version`, the current one, was committed. */
  async position(version: number): Promise<Position> {
    const { run, versions, ledger } = this.keys;
    const stored = await this.redis.hget(versions, String(version));
    const committed = stored === null ? {} : (JSON.parse(stored) as Partial<Position>);
    if (committed.nextIndex !== undefined && committed.trained !== undefined)
      return { nextIndex: committed.nextIndex, trained: committed.trained };
    // No step has been committed since the run began or went on.
    const fields = await this.redis.hmget(run, 'candidates', 'nextIndex', 'started');
    const [candidates = 0, nextIndex = 0, started = 0] = fields.map(Number);
    const trained = Number((await this.redis.hget(ledger, 'trained')) ?? 0);
    return { nextIndex: version * candidates + nextIndex - started, trained };
  }

  /** Trainers of the run so far; 0 where there is no state. */
  async epoch(): Promise<number> {
    return Number((await this.redis.hget(this.keys.run, 'epoch')) ?? 0);
  }

  /** Lets the run go on where it was; the id of the telemetry event that says so. */
  async reopen(config: unknown, settings: RunSettings): Promise<string> {
    const { run, config: configKey, signals, telemetry } = this.keys;
    const keys = [run, configKey, signals, telemetry];
    const fields = Object.entries({ ...steeringFields(settings), ...releaseField }).flat();
    return (await reopen.run(this.redis, keys, [
      JSON.stringify(config),
      encode(RESUMED),
      ...fields,
    ])) as string;
  }

  /**
   * Makes the state of the run anew, as it is at a checkpoint with nothing in flight, in place of what there is; the id
   * of the telemetry event that says so. The ledger counts what was trained before, and of what was discarded only how
   * much; the trainer announces the version.
   */
  async restore(
    config: unknown,
    settings: RunSettings,
    { version, epoch, nextIndex, trained }: Restart,
  ): Promise<string> {
    const { candidatesPerBatch } = settings;
    const consumed = version * candidatesPerBatch;
    const discarded = { 'not-selected': consumed - trained, [BEFORE]: nextIndex - consumed };
    const counts: [string, number][] = [
      ['admitted', nextIndex],
      ['trained', trained],
      ['forgotten:trained', trained],
      ...Object.entries(discarded).flatMap(([reason, count]): [string, number][] =>
        count === 0
          ? []
          : [
              [`discarded:${reason}`, count],
              [`forgotten:discarded:${reason}`, count],
            ],
      ),
    ];
    const fields = {
      state: 'running',
      version,
      epoch,
      started: consumed,
      nextIndex,
      nextBatch: version,
      candidates: candidatesPerBatch,
      ...steeringFields(settings),
      ...releaseField,
      firstKept: nextIndex,
      firstKeptVersion: version + 1,
    };
    const { run, config: configKey, groups, batches, ledger, telemetry, scripts } = this.keys;
    const first = [run, configKey, groups, batches, ledger, telemetry, scripts];
    const sources = Object.entries(FOREIGN_SCRIPTS).flat();
    const others = stateKeys(this.keys).filter((key) => !first.includes(key));
    await removeRun(this.redis, this.runId);
    return (await restore.run(
      this.redis,
      [...first, ...others],
      [
        CONSUMER_GROUP,
        JSON.stringify(config),
        encode(RESUMED),
        2 * counts.length,
        ...counts.flat(),
        sources.length,
        ...sources,
        ...Object.entries(fields).flat(),
      ],
    )) as string;
  }
}
