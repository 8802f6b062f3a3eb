import type { ChatMessage } from '@forge/contracts';
import type { RolloutRecord } from '../rollouts/rollout';
import type { Environment, EnvironmentSet, Outcome, Step } from './environment';
import { faultOf, isFull, wrongResult, type Party } from './fault';
import type { RolloutScope } from './rollout-scope';
import type { Tools } from './tools';
import { closedWithinTime, openWithinTime, withinTime } from './within-time';

/** Outcome that has its defaults. */
export type TakenOutcome = Required<Outcome>;

/** Step that has its defaults, with what the model is told as messages. */
export interface TakenStep extends TakenOutcome {
  messages: ChatMessage[];
}

/**
 * The environment of one rollout, within its time and held to what it has to give. Its faults are errors, never rewards.
 *
 * @throws {ForgeError} (from `reset` and `step`) what the environment threw, if it is one; else
 *   TRANSIENT_ENVIRONMENT_FAILED, also for what takes too long; CONTRACT_INVALID_MESSAGE and NUMERIC_NON_FINITE for what is
 *   no step. All name environment and sample.
 */
export class GuardedEnvironment {
  private environment: Environment | null = null;
  private turn = 0;
  private readonly party: Party;

  constructor(
    private readonly source: EnvironmentSet,
    private readonly scope: RolloutScope,
    private readonly record: RolloutRecord,
  ) {
    this.party = { kind: 'environment', name: source.name, sample: scope.sample };
  }

  /** Sets the environment up; the first messages. */
  async reset(): Promise<ChatMessage[]> {
    const { scope, source } = this;
    const bounds = { timeoutMs: source.timeoutMs, signal: scope.signal };
    const open = (): Promise<Environment> => source.open(scope);
    const environment = await this.blamed(() => openWithinTime(bounds, open, (late) => late.close?.()));
    this.environment = environment;
    const observation = await this.during((signal) => environment.reset(scope.sample, { ...scope, signal }));
    const messages = this.messagesOf(observation);
    if (messages.length > 0) return messages;
    throw wrongResult(this.party, 'reset gave no message, expected a text or messages');
  }

  /** Tools of the environment, once it is reset. */
  get tools(): Tools | undefined {
    return this.environment?.tools;
  }

  /** Outcome of the model's answer. */
  async step(action: ChatMessage): Promise<TakenStep> {
    const environment = this.environment!;
    const scope = { ...this.scope, turn: this.turn++ };
    const step: unknown = await this.record.time(`environment/${this.source.name}/step_ms`, () =>
      this.during((signal) => environment.step(action, { ...scope, signal })),
    );
    const outcome = this.outcomeOf('step', step);
    const messages = this.messagesOf((step as Step).observation ?? []);
    if (messages.length > 0 || outcome.done || outcome.truncated) return { messages, ...outcome };
    throw wrongResult(this.party, 'step gave no observation, expected one, or done');
  }

  /** Outcome of the calls of its tools that have been answered since it was last asked for. */
  async outcome(): Promise<TakenOutcome> {
    const { environment } = this;
    return this.outcomeOf('outcome', await this.during(() => environment?.outcome?.() ?? {}));
  }

  private outcomeOf(of: 'step' | 'outcome', given: unknown): TakenOutcome {
    if (typeof given !== 'object' || given === null)
      throw wrongResult(this.party, `${of} gave ${String(given)}, expected { reward, done }`);
    const { reward = 0, done = false, truncated = false } = given as Outcome;
    if (Number.isFinite(reward)) return { reward, done, truncated };
    const problem = `${of} gave reward ${String(reward)}, expected a finite number`;
    throw wrongResult(this.party, problem, 'NUMERIC_NON_FINITE');
  }

  /** Puts the environment away. A failure changes no result: it is counted. */
  async close(): Promise<void> {
    const { environment, source } = this;
    this.environment = null;
    if (environment?.close === undefined) return;
    const isClosed = await closedWithinTime(source.timeoutMs, () => environment.close!());
    if (!isClosed) this.count('failures');
  }

  private during<T>(work: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    const { timeoutMs } = this.source;
    return this.blamed(() => withinTime({ timeoutMs, signal: this.scope.signal }, work));
  }

  private async blamed<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.scope.signal.throwIfAborted();
      if (isFull(error)) this.count('refusals');
      else this.count('failures');
      throw faultOf(this.party, error);
    }
  }

  private count(what: 'failures' | 'refusals'): void {
    this.record.count(`environment/${this.source.name}/${what}`);
  }

  private messagesOf(observation: unknown): ChatMessage[] {
    if (typeof observation === 'string') return [{ role: 'user', content: observation }];
    const given: unknown[] = Array.isArray(observation) ? observation : [observation];
    const at = given.findIndex((message) => !isMessage(message));
    if (at < 0) return given as ChatMessage[];
    const found = (JSON.stringify(given[at]) ?? String(given[at])).slice(0, 200);
    throw wrongResult(
      this.party,
      `found the observation ${found}, expected a text, a message { role, content }, or a list of them`,
    );
  }
}

function isMessage(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { role, content } = value as { role?: unknown; content?: unknown };
  return typeof content === 'string' && ['system', 'user', 'assistant', 'tool'].includes(role as string);
}
