import { boundOf, SINGLE_SERVICES, storedBound } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { RunKeys } from '../keys';
import type { RunSettings } from './run-bounds';
import { Script } from '../redis/script';

/** Settings that steer a run; all may change while the run goes on. */
export interface RunSteering {
  /** Policy versions a trained token may be old; may be Infinity. */
  maxStaleness: number;
  /** Optimizer steps after which the run ends. */
  steps: number;
  /** Held-out accuracy at which it ends, null for none. */
  stopAtAccuracy: number | null;
  /** Nothing is admitted. */
  isPaused: boolean;
  /** Trainers so far: the newest one trains. */
  epoch: number;
}

/** Settings of a run that can be changed while it goes on. */
export interface RunChanges {
  maxStaleness?: number | undefined;
  steps?: number | undefined;
  /** Null: it no longer ends at an accuracy. */
  stopAtAccuracy?: number | null | undefined;
}

/** Dials of asynchrony that a coordinator turns by itself. */
export interface RunDials {
  /** Versions that admission may run ahead of the trainer, at most `maxStaleness`. */
  pace: number;
  /** Groups in flight at most. */
  groupsInFlight: number;
}

/** Processes that the supervisor of a run is to bring about. */
export interface WantedProcesses {
  /** Wanted replicas by service. */
  replicas: ReadonlyMap<string, number>;
  /** By process (`policy/0`), the newest request to start it anew. */
  restarts: ReadonlyMap<string, RestartRequest>;
}

export interface RestartRequest {
  request: string;
  /** Null while it is to be done; then empty, or why there was no restart. */
  outcome: string | null;
}

export type ControlOperation = 'set' | 'scale' | 'restart' | 'pause' | 'unpause' | 'tune';

export const MAX_REPLICAS = 256;

const REPLICAS = 'replicas:';
const RESTART = 'restart:';
/** The request, a space, and why it was not done. */
const RESTARTED = 'restarted:';

/**
 * Changes a running run, all of the change or none of it, and tells so.
 * KEYS run, wanted, telemetry, signals
 * ARGV id of the call, operation, cap on the telemetry, why or '', what the coordinator knows of the dials or '', then of every change: its name to people, field, value
 * Returns done (also when the newest call comes again), the state of a run that does not go on, or why not: steps (more
 * are done already), or `no` and the name of a service or process without a supervisor.
 */
const control = new Script(`
local h = redis.call('HMGET', KEYS[1], 'state', 'version', 'controlCall')
if h[3] == ARGV[1] then return 'done' end
if h[1] ~= 'running' then return h[1] or 'missing' end
local operation, version = ARGV[2], tonumber(h[2])
local isOfProcesses = operation == 'scale' or operation == 'restart'
for i = 6, #ARGV, 3 do
  local name, field, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if field == 'steps' and tonumber(value) < version then return 'steps' end
  if isOfProcesses then
    local service, replica = string.match(name, '^([^/]+)/(%d+)$')
    local count = tonumber(redis.call('HGET', KEYS[2], 'replicas:' .. (service or name)) or '')
    if not count or replica and tonumber(replica) >= count then return 'no ' .. name end
  end
end
for i = 6, #ARGV, 3 do
  local name, field, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key = isOfProcesses and KEYS[2] or KEYS[1]
  local before = redis.call('HGET', key, field) or ''
  redis.call('HSET', key, field, value)
  local event = { kind = 'control', id = ARGV[1] .. ':' .. name, version = version, operation = operation, name = name,
    from = operation == 'restart' and '' or before, to = operation == 'restart' and '' or value,
    reason = ARGV[4] ~= '' and ARGV[4] or nil }
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'event', cmsgpack.pack(event))
end
redis.call('HSET', KEYS[1], 'controlCall', ARGV[1])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'tuning', ARGV[5]) end
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 100, '*', 'what', 'control')
return 'done'
`);

/** Changes a run while it goes on, for the person in charge of it at the CLI or a dashboard. */
export class RunControls {
  private readonly instance = randomUUID();
  private calls = 0;

  constructor(
    private readonly redis: Redis,
    private readonly keys: RunKeys,
    private readonly telemetryCap: number,
  ) {}

  /** Settings that steer the run now. */
  async steering(): Promise<RunSteering> {
    const [maxStaleness, steps, accuracy, paused, epoch] = await this.redis.hmget(
      this.keys.run,
      'maxStaleness',
      'steps',
      'stopAtAccuracy',
      'paused',
      'epoch',
    );
    return {
      maxStaleness: boundOf(maxStaleness ?? '0'),
      steps: Number(steps ?? 0),
      stopAtAccuracy: accuracy ? Number(accuracy) : null,
      isPaused: paused === '1',
      epoch: Number(epoch ?? 0),
    };
  }

  /** The dials as they are, null where the bounds of the run alone count, and what the coordinator that turned them last knew. */
  async tuning(): Promise<Record<keyof RunDials, number | null> & { state: string | null }> {
    const [pace, groups, state] = await this.redis.hmget(this.keys.run, 'pace', 'groupsInFlight', 'tuning');
    const numberOf = (text?: string | null): number | null => (text ? Number(text) : null);
    return { pace: numberOf(pace), groupsInFlight: numberOf(groups), state: state || null };
  }

  /**
   * Turns dials, on behalf of the coordinator that knows `state`: the run keeps both at once. Without a reason nothing is
   * told.
   */
  async tune(dials: Partial<RunDials>, state: string, reason: string | null): Promise<void> {
    const values = Object.entries(dials).map(([name, value]) => [name, String(value)]);
    if (reason === null) {
      await this.redis.hset(this.keys.run, Object.fromEntries([...values, ['tuning', state]]));
      return;
    }
    const changes = values.map(([name, value]) => [name!, name!, value!]);
    await this.change('tune', changes, reason, state);
  }

  /** Whether the run can still be changed. */
  async goesOn(): Promise<boolean> {
    return (await this.redis.hget(this.keys.run, 'state')) === 'running';
  }

  /**
   * Changes settings, all at once. The staleness bound counts from the next admission and the next batch on; a batch
   * that is formed keeps the bound it was formed under.
   *
   * @throws {ForgeError} CONFIG_INVALID when fewer steps are wanted than are done; CONFLICT_STATE when the run does not
   *   go on any more. So do the others.
   */
  async set(changes: RunChanges): Promise<void> {
    const values = Object.entries(changes) as [string, number | null | undefined][];
    await this.change(
      'set',
      values.flatMap(([name, value]) => (value === undefined ? [] : [[name, name, settingText(value)]])),
    );
  }

  /** Admits no more groups; what is in flight is finished and trained as far as it fills batches. */
  async pause(): Promise<void> {
    await this.change('pause', [['admission', 'paused', '1']]);
  }

  async unpause(): Promise<void> {
    await this.change('unpause', [['admission', 'paused', '']]);
  }

  /**
   * Wants so many replicas of services; the supervisor of the run starts and drains them.
   *
   * @throws {ForgeError} CONFIG_INVALID for a service of one copy, one the run does not have, or a number that can't be.
   */
  async scale(counts: Readonly<Record<string, number>>): Promise<void> {
    for (const [service, count] of Object.entries(counts)) {
      const why = SINGLE_SERVICES[service];
      if (why !== undefined) {
        throw new ForgeError('CONFIG_INVALID', `${service}: there is exactly one: ${why}`, { service });
      }
      if (!Number.isInteger(count) || count < 1 || count > MAX_REPLICAS) {
        throw new ForgeError(
          'CONFIG_INVALID',
          `${service}: found ${count} replicas, expected a whole number from 1 to ${MAX_REPLICAS}`,
          { service, count },
        );
      }
    }
    await this.change(
      'scale',
      Object.entries(counts).map(([service, count]) => [service, `${REPLICAS}${service}`, String(count)]),
    );
  }

  /**
   * Wants processes started anew: one (`policy/0`), or one after the other all of a service (`policy`). The request, and
   * the names of those it concerns: `wanted` tells the outcome.
   *
   * @throws {ForgeError} CONFIG_INVALID when the run has no such process.
   */
  async restart(target: string): Promise<{ request: string; names: string[] }> {
    const { replicas } = await this.wanted();
    const count = replicas.get(target);
    const names = count === undefined ? [target] : Array.from({ length: count }, (_, i) => `${target}/${i}`);
    const request = randomUUID();
    await this.change(
      'restart',
      names.map((name) => [name, `${RESTART}${name}`, request]),
    );
    return { request, names };
  }

  /** Says, as the supervisor of the run, which services there are; numbers that were wanted before stay. */
  async supervise(counts: Readonly<Record<string, number>>): Promise<void> {
    for (const [service, count] of Object.entries(counts))
      await this.redis.hsetnx(this.keys.wanted, `${REPLICAS}${service}`, String(count));
  }

  /** Says, as the supervisor of the run, that a request was done, or why not. */
  async restarted(name: string, request: string, problem = ''): Promise<void> {
    await this.redis.hset(this.keys.wanted, `${RESTARTED}${name}`, `${request} ${problem}`);
  }

  /** Processes that the supervisor of the run is to bring about. */
  async wanted(): Promise<WantedProcesses> {
    const fields = Object.entries(await this.redis.hgetall(this.keys.wanted));
    const under = (prefix: string): [string, string][] =>
      fields.flatMap(([field, value]) =>
        field.startsWith(prefix) ? [[field.slice(prefix.length), value]] : [],
      );
    const ended = new Map(under(RESTARTED));
    const outcomeOf = (name: string, request: string): string | null => {
      const text = ended.get(name) ?? '';
      return text.startsWith(`${request} `) ? text.slice(request.length + 1) : null;
    };
    return {
      replicas: new Map(under(REPLICAS).map(([service, count]) => [service, Number(count)])),
      restarts: new Map(
        under(RESTART).map(([name, request]) => [name, { request, outcome: outcomeOf(name, request) }]),
      ),
    };
  }

  private async change(
    operation: ControlOperation,
    /** Name for people, field and value of each change. */
    changes: readonly (readonly string[])[],
    reason = '',
    tuning = '',
  ): Promise<void> {
    const { run, wanted, telemetry, signals } = this.keys;
    const call = `${this.instance}-${++this.calls}`;
    const args = [call, operation, this.telemetryCap, reason, tuning, ...changes.flat()];
    const answer = String(await control.run(this.redis, [run, wanted, telemetry, signals], args));
    if (answer === 'done') return;
    if (answer === 'steps') {
      const message = 'steps: the run has done more steps than that already';
      throw new ForgeError('CONFIG_INVALID', message, { field: 'steps' });
    }
    if (answer.startsWith('no ')) {
      const name = answer.slice('no '.length);
      const { replicas } = await this.wanted();
      const has = [...replicas].map(([service, count]) => `${service} (${count})`).join(', ');
      const message =
        has === ''
          ? `${name}: nobody supervises this run; its processes are managed where they were started`
          : `${name}: the run has no such process; it has ${has}`;
      throw new ForgeError('CONFIG_INVALID', message, { name });
    }
    throw new ForgeError('CONFLICT_STATE', `the run is ${answer}; only one that goes on can be changed`, {
      state: answer,
    });
  }
}

/** The fields of the `run` hash that steer a run. */
export function steeringFields({ maxStaleness, steps, stopAtAccuracy }: RunSettings) {
  return {
    maxStaleness: settingText(maxStaleness),
    steps: settingText(steps),
    stopAtAccuracy: settingText(stopAtAccuracy ?? null),
  };
}

/** A setting as the `run` hash has it; empty for none. */
function settingText(value: number | null): string {
  return value === null ? '' : String(storedBound(value));
}
