import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenEnvConfig } from '@forge/config';
import type { ChatMessage, Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Environment, Outcome, RolloutScope, Step, Tools } from '@forge/rl';
import type { ActionForm } from './action-form';
import { callTools, type Taken } from './call-tools';
import { Lost, type EpisodeSocket, type Reply } from './episode-socket';
import { observationText } from './observation-text';
import type { OpenEnvServer } from './openenv-server';
import { filledIn, openingMessages } from './opening';

/** Sessions of one process at a server. */
export interface Sessions {
  /** Episodes that have begun and are not over. */
  held: Set<RemoteEpisode>;
  /** Takes in how many sessions the server has. */
  narrow(sessions: number): void;
}

const FIRST_DELAY_MS = 500;

type ErrorReply = Extract<Reply, { type: 'error' }>['data'];

/** One episode at an OpenEnv server: it lives as long as its socket. */
export class RemoteEpisode implements Environment {
  tools?: Tools;
  private socket: EpisodeSocket | null = null;
  private form: ActionForm | null = null;
  private fields: readonly string[] = [];
  private calls: Required<Outcome> = noCalls();
  private isOver = false;
  /** The last action, which the next one waits for. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly server: OpenEnvServer,
    private readonly config: OpenEnvConfig,
    private readonly sessions: Sessions,
  ) {}

  async reset(sample: Sample, { random, signal }: RolloutScope): Promise<ChatMessage[]> {
    const { attempts } = this.config;
    // The same in all attempts, and in all rollouts of the group.
    const seed = Math.floor(random() * 2 ** 31);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.begin(sample, seed, signal);
      } catch (error) {
        await this.close();
        if (!(error instanceof Lost)) throw this.named(error);
        const tried = `after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`;
        if (attempt >= attempts) throw this.failed(`${error.message}, ${tried}`);
        await sleep(FIRST_DELAY_MS * 2 ** (attempt - 1), undefined, { signal });
      }
    }
  }

  async step({ content }: ChatMessage): Promise<Step> {
    // An answer without a call ends an episode of calls.
    if (this.form?.by !== 'text') return { done: true };
    const { field, read } = this.form;
    const action = read(content);
    if ('problem' in action) return { observation: `Error: ${field}: ${action.problem}` };
    const { observation, refusal, reward, done } = await this.act({ [field]: action.value });
    const told = refusal === null ? this.textOf(observation) : `Error: ${refusal}`;
    return { observation: told, reward, done };
  }

  outcome(): Outcome {
    const { calls } = this;
    this.calls = noCalls();
    return calls;
  }

  async close(): Promise<void> {
    const { socket } = this;
    this.socket = null;
    this.sessions.held.delete(this);
    await socket?.close();
  }

  private async begin(sample: Sample, seed: number, signal: AbortSignal): Promise<ChatMessage[]> {
    const { schema, form } = await this.server.action();
    this.form = form;
    this.fields = Object.keys(form.fields);
    this.socket = await this.server.connect(signal);
    const data = { seed, ...filledIn(this.config.reset, sample) };
    const reply = await this.socket.ask({ type: 'reset', data });
    if (reply.type === 'error') throw this.unbegun(reply.data);
    this.sessions.held.add(this);
    if (reply.data.done) throw this.failed('says that the episode is over as it begins');
    if (form.by === 'calls') this.tools = await this.toolsOf(schema, form);
    this.calls = noCalls();
    return openingMessages(sample, this.textOf(reply.data.observation));
  }

  private toolsOf(schema: Record<string, unknown>, form: ActionForm & { by: 'calls' }): Promise<Tools> {
    const act = async (action: Record<string, unknown>): Promise<Taken> => {
      const taken = await this.act(action);
      this.calls.reward += taken.reward;
      this.calls.done ||= taken.done;
      return taken;
    };
    return callTools(form, schema, { act, field: this.config.observation });
  }

  /** Outcome of an action, once the one before has its own. */
  private act(action: Record<string, unknown>): Promise<Taken> {
    const acting = this.last.then(() => this.take(action));
    this.last = acting.catch(() => undefined);
    return acting;
  }

  private async take(action: Record<string, unknown>): Promise<Taken> {
    if (this.isOver) return refused('the episode is over');
    if (this.socket === null) throw this.failed('has no session for this episode any more');
    let reply: Reply;
    try {
      reply = await this.socket.ask({ type: 'step', data: action });
    } catch (error) {
      throw error instanceof Lost
        ? this.failed(`${error.message} in the middle of an episode`)
        : this.named(error);
    }
    if (reply.type === 'error') return this.untaken(reply.data, action);
    const { observation, reward, done } = reply.data;
    this.isOver = done;
    return { observation, refusal: null, reward: Number(reward ?? 0), done };
  }

  /** The error of a reset that was refused. */
  private unbegun({ code, message, max_sessions: sessions }: ErrorReply): ForgeError {
    if (code !== 'CAPACITY_REACHED') return this.fault(code, message);
    if (sessions !== undefined) this.sessions.narrow(sessions);
    const waited = `no place for another episode within fullWaitMs (${this.config.fullWaitMs} ms)`;
    return new ForgeError('CAPACITY_ENVIRONMENT_FULL', `${this.server.address}: ${waited}: ${message}`);
  }

  /** An action that the server did not take, where the model is to blame for it. */
  private untaken({ code, message, errors = [] }: ErrorReply, action: Record<string, unknown>): Taken {
    const isOfAction = errors.every(
      ({ loc: [name = ''] }) => name in action || this.fields.includes(String(name)),
    );
    if (code === 'VALIDATION_ERROR' && isOfAction) {
      const problems = errors.map(({ loc, msg }) => `${loc.join('.')}: ${msg}`);
      return refused(`invalid action: ${problems.join('; ') || message}`);
    }
    if (code === 'EXECUTION_ERROR' && this.config.actionErrors === 'tell') return refused(message);
    throw this.fault(code, message);
  }

  private fault(code: string, message: string): ForgeError {
    const said = `${code}: ${message}`;
    if (code !== 'INVALID_JSON' && code !== 'UNKNOWN_TYPE') return this.failed(said);
    return new ForgeError('CONTRACT_INVALID_MESSAGE', `${this.server.address}: ${said}`);
  }

  private failed(why: string): ForgeError {
    const { address } = this.server;
    return new ForgeError('TRANSIENT_ENVIRONMENT_FAILED', `${address}: ${why}`, { url: address, why });
  }

  private named(error: unknown): unknown {
    const { address } = this.server;
    if (!(error instanceof ForgeError) || error.message.startsWith(address)) return error;
    return new ForgeError(error.code, `${address}: ${error.message}`, error.details, { cause: error });
  }

  private textOf(observation: Record<string, unknown>): string {
    return observationText(observation, this.config.observation);
  }
}

function refused(refusal: string): Taken {
  return { observation: {}, refusal, reward: 0, done: false };
}

function noCalls(): Required<Outcome> {
  return { reward: 0, done: false, truncated: false };
}
