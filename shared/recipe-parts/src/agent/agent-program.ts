import { randomUUID } from 'node:crypto';
import { closeSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandEnvironment } from '@forge/config';
import type { Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { faultOf, type Party } from '@forge/rl';
import { rewardIn } from './agent-reward';
import { startGuardedGroup, type Ending, type GuardedGroup } from './guarded-group';
import { MemoryWatch } from './memory-watch';
import { OutputTail } from './output-tail';

export interface AgentProgramOptions {
  /** The program and its arguments. */
  command: readonly string[];
  /** What its environment has beside what every program needs. */
  env: Readonly<Record<string, string>>;
  /** Time of one rollout. */
  timeLimitMs: number;
  /** Memory that its processes take together; left out: any. */
  memoryMb?: number;
}

/** A rollout that the agent is to do. */
export interface AgentCall {
  sample: Sample;
  /** Address of the gateway, without `/v1`. */
  baseUrl: string;
  /** Key of its session. */
  key: string;
  /** Ends it, once nobody waits for it any more. */
  signal?: AbortSignal | undefined;
}

export interface AgentReport {
  /** The reward that it gave itself; null: none. */
  reward: number | null;
  /** The last of what it wrote to stderr. */
  stderr: string;
}

const REWARD_BYTES = 64 * 1024;
const STDERR_BYTES = 16 * 1024;
const TOLD_LINES = 12;
const TOLD_CHARACTERS = 1_000;
/** Status with which a shell ends that did not find the program, or may not run it. */
const [NOT_EXECUTABLE, NOT_FOUND] = [126, 127];

/**
 * The user's agent: a process for each rollout, which finds the policy by the variables that clients of OpenAI's and Anthropic's
 * APIs read, and the sample as JSON on its standard input.
 */
export class AgentProgram {
  private readonly memory: MemoryWatch | null;

  constructor(private readonly options: AgentProgramOptions) {
    const { memoryMb } = options;
    this.memory = memoryMb === undefined ? null : new MemoryWatch(memoryMb * 1024 * 1024);
  }

  /**
   * Runs it to its end.
   *
   * @throws {ForgeError} naming agent and sample: TRANSIENT_ENVIRONMENT_FAILED when it ends otherwise than with status 0, or
   *   goes beyond a limit; CONFIG_PATH_UNUSABLE when it can't be started; NUMERIC_NON_FINITE, CONTRACT_INVALID_MESSAGE for
   *   a reward that is no number.
   * @throws the reason of `signal`.
   */
  async run({ sample, baseUrl, key, signal }: AgentCall): Promise<AgentReport> {
    signal?.throwIfAborted();
    const { command } = this.options;
    const party: Party = { kind: 'agent', name: command.join(' '), sample };
    const group = await this.start(sample, environmentOf(this.options.env, baseUrl, key));
    const stdout = new OutputTail(group.stdout, REWARD_BYTES);
    const stderr = new OutputTail(group.stderr, STDERR_BYTES);
    const { ending, why } = await this.end(group, signal);
    signal?.throwIfAborted();
    try {
      const problem = why ?? problemOf(ending);
      if (problem !== null) throw failure(command, ending, `${problem}${told(stderr.text)}`);
      return { reward: rewardIn(stdout.text), stderr: stderr.text };
    } catch (error) {
      throw faultOf(party, error);
    }
  }

  /** Starts it with the sample in a file that has no name any more. */
  private async start(sample: Sample, env: NodeJS.ProcessEnv): Promise<GuardedGroup> {
    const path = join(tmpdir(), `forge-sample-${randomUUID()}`);
    writeFileSync(path, `${JSON.stringify(sample)}\n`, { flag: 'wx', mode: 0o600 });
    const stdin = openSync(path, 'r');
    unlinkSync(path);
    try {
      return await startGuardedGroup(this.options.command, { env, stdin });
    } finally {
      closeSync(stdin);
    }
  }

  /** Its end, and the limit that brought it about. */
  private async end(
    { pid, ended, kill }: GuardedGroup,
    signal: AbortSignal | undefined,
  ): Promise<{ ending: Ending; why: string | null }> {
    const { timeLimitMs, memoryMb } = this.options;
    let why: string | null = null;
    const stop = (reason: string): void => {
      why ??= reason;
      kill();
    };
    const timer = setTimeout(() => stop(`it took longer than ${timeLimitMs} ms`), timeLimitMs);
    const unwatch = this.memory?.watch(pid, () => stop(`it took more than ${memoryMb} MB of memory`));
    signal?.addEventListener('abort', kill, { once: true });
    if (signal?.aborted) kill();
    try {
      return { ending: await ended, why };
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
function problemOf({ status, signal }: Ending): string | null {
  if (status === 0) return null;
  if (status === null) return `it was ended by ${signal ?? 'a signal'}`;
  const inner = Object.entries(constants.signals).find(([, number]) => number === status - 128)?.[0];
  return `it ended with status ${status}${inner === undefined ? '' : `, as by ${inner}`}`;
}

function failure(command: readonly string[], { status }: Ending, message: string): Error {
  if (status !== NOT_FOUND && status !== NOT_EXECUTABLE) return new Error(message);
  return new ForgeError('CONFIG_PATH_UNUSABLE', message, { path: command[0] });
}

/** The last lines that it wrote. */
function told(stderr: string): string {
  const lines = stderr.trim().split('\n').slice(-TOLD_LINES).join('\n').slice(-TOLD_CHARACTERS);
  return lines === '' ? '' : `: ${lines}`;
}
