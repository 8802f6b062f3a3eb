import { randomUUID } from 'node:crypto';
import { closeSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandEnvironment } from '@forge/config';
import type { Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { faultOf, Slots, type Party } from '@forge/rl';
import { rewardIn } from './agent-reward';
import type { ClosedNetwork } from './closed-network';
import { startGuardedGroup, toldEnding, type Ending, type GuardedGroup } from '../processes/guarded-group';
import { MemoryWatch } from '../processes/memory-watch';
import { OutputTail } from '../processes/output-tail';

export interface AgentProgramOptions {
  /** The program and its arguments. */
  command: readonly string[];
  /** Variables beside those that every program needs. */
  env: Readonly<Record<string, string>>;
  /** Time of one rollout. */
  timeLimitMs: number;
  /** Memory that the processes of one rollout take together; left out: any. */
  memoryMb?: number | undefined;
  /** Rollouts at the same time; the next one waits. */
  parallel: number;
  /** The network that they are in; left out: that of this process. */
  network?: ClosedNetwork | undefined;
}

/** A rollout that the agent is to do. */
export interface AgentCall {
  sample: Sample;
  /** Address of the gateway, without `/v1`. */
  baseUrl: string;
  /** Secret of its session. */
  key: string;
  /** Ends it, once nobody waits for it any more. */
  signal?: AbortSignal | undefined;
  /** Goes before the others that wait for a place; default false. */
  isFirst?: boolean | undefined;
}

export interface AgentReport {
  /** The reward that it gave itself; null: none. */
  reward: number | null;
  /** The last of what it wrote to stderr. */
  stderr: string;
}

const REWARD_BYTES = 64 * 1024;
const STDERR_BYTES = 8 * 1024;
/** Status with which a shell ends that did not find the program, or may not run it. */
const [NOT_EXECUTABLE, NOT_FOUND] = [126, 127];

/**
 * The user's agent: a process for each rollout, which finds the policy by the variables that clients of OpenAI's and Anthropic's
 * APIs read, and the sample as JSON on its standard input.
 */
export class AgentProgram {
  private readonly memory: MemoryWatch | null;
  private readonly places: Slots;

  constructor(private readonly options: AgentProgramOptions) {
    const { memoryMb, parallel } = options;
    this.places = new Slots(parallel);
    this.memory = memoryMb === undefined ? null : new MemoryWatch(memoryMb * 1024 * 1024);
  }

  /**
   * Runs it to its end, once there is a place for it.
   *
   * @throws {ForgeError} naming agent and sample: TRANSIENT_ENVIRONMENT_FAILED when it ends otherwise than with status 0, or
   *   takes too much memory; CAPACITY_SESSION_LIMIT when it takes too long; CONFIG_PATH_UNUSABLE when it can't be started; NUMERIC_NON_FINITE, CONTRACT_INVALID_MESSAGE for
   *   a reward that is no number.
   * @throws the reason of `signal`.
   */
  run(call: AgentCall): Promise<AgentReport> {
    const { signal, isFirst = false } = call;
    return this.places.during(1, () => this.runNow(call), { signal, isFirst });
  }

  private async runNow({ sample, baseUrl, key, signal }: AgentCall): Promise<AgentReport> {
    signal?.throwIfAborted();
    const { command } = this.options;
    const party: Party = { kind: 'agent', name: command.join(' '), sample };
    const group = await this.start(sample, { baseUrl, key });
    const stdout = new OutputTail(group.stdout, REWARD_BYTES);
    const stderr = new OutputTail(group.stderr, STDERR_BYTES);
    const fault = await this.faultAtEnd(group, signal);
    signal?.throwIfAborted();
    try {
      if (fault !== null) throw new ForgeError(fault.code, `${fault.message}${stderr.told}`, fault.details);
      return { reward: rewardIn(stdout.text), stderr: stderr.text };
    } catch (error) {
      throw faultOf(party, error);
    }
  }

  /** Starts it with the sample in a file that has no name any more. */
  private async start(sample: Sample, { baseUrl, key }: Omit<AgentCall, 'sample'>): Promise<GuardedGroup> {
    const { network, command, env } = this.options;
    const placed = (await network?.enter(command, baseUrl)) ?? { command, baseUrl };
    const path = join(tmpdir(), `forge-sample-${randomUUID()}`);
    writeFileSync(path, `${JSON.stringify(sample)}\n`, { flag: 'wx', mode: 0o600 });
    const stdin = openSync(path, 'r');
    unlinkSync(path);
    try {
      return await startGuardedGroup(placed.command, { env: environmentOf(env, placed.baseUrl, key), stdin });
    } finally {
      closeSync(stdin);
    }
  }

  /** Waits for its end; null: it was a good one, within all limits. */
  private async faultAtEnd(
    { pid, ended, kill }: GuardedGroup,
    signal: AbortSignal | undefined,
  ): Promise<ForgeError | null> {
    const { timeLimitMs, memoryMb } = this.options;
    let excess: ForgeError | null = null;
    const stop = (error: ForgeError): void => {
      excess ??= error;
      kill();
    };
    const timer = setTimeout(() => {
      const message = `it did not end within ${timeLimitMs} ms (rollout.timeLimitMs)`;
      stop(new ForgeError('CAPACITY_SESSION_LIMIT', message, { limit: 'time' }));
    }, timeLimitMs);
    const unwatch = this.memory?.watch(pid, () => {
      const message = `it took more than ${memoryMb} MB of memory (rollout.memoryMb)`;
      stop(new ForgeError('TRANSIENT_ENVIRONMENT_FAILED', message));
    });
    signal?.addEventListener('abort', kill, { once: true });
    if (signal?.aborted) kill();
    try {
      const ending = await ended;
      return excess ?? faultIn(ending, this.options.command[0]!);
    } finally {
      clearTimeout(timer);
      unwatch?.();
      signal?.removeEventListener('abort', kill);
    }
  }
}

function environmentOf(
  own: Readonly<Record<string, string>>,
  baseUrl: string,
  key: string,
): NodeJS.ProcessEnv {
  return {
    ...commandEnvironment(),
    ...own,
    OPENAI_BASE_URL: `${baseUrl}/v1`,
    OPENAI_API_KEY: key,
    ANTHROPIC_BASE_URL: baseUrl,
    ANTHROPIC_API_KEY: key,
  };
}

/** The way in which it failed; null: it did not. */
function faultIn(ending: Ending, path: string): ForgeError | null {
  const { status } = ending;
  if (status === 0) return null;
  const message = toldEnding(ending);
  if (status === NOT_FOUND || status === NOT_EXECUTABLE)
    return new ForgeError('CONFIG_PATH_UNUSABLE', message, { path });
  return new ForgeError('TRANSIENT_ENVIRONMENT_FAILED', message);
}
