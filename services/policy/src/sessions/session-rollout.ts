import { randomUUID } from 'node:crypto';
import type { SessionDirectory } from '@forge/broker';
import { AGENT_REWARD, type Recipe } from '@forge/config';
import type { Completion, Episode, KeptCall } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { AgentSession, type Score, type SessionSetting } from '@forge/rl';
import type { GroupContext, GroupRollout } from './group-rollout';
import type { AgentOutcome, RunAgent } from './run-agent';
import type { SessionTable } from './session-table';

export interface SessionRolloutOptions {
  directory: Pick<
    SessionDirectory,
    'offer' | 'open' | 'standing' | 'keep' | 'calls' | 'byId' | 'end' | 'remove'
  >;
  /** Sessions of this process, by which calls find them. */
  table: Pick<SessionTable, 'seat'>;
  replica: string;
  recipe: Pick<Recipe, 'rollout' | 'sampling' | 'rewards'>;
  /** Agents that this process starts; left out: agents elsewhere take the rollouts. */
  agents?: {
    run: RunAgent;
    /** Address of the gateway, without `/v1`, as soon as there is one. */
    baseUrl: (signal: AbortSignal) => Promise<string>;
  };
}

/** A session that nobody ends, where the recipe does not say. */
const TIME_LIMIT_MS = 3_600_000;
/** Pause between two looks at the sessions of a group. */
const LOOK_MS = 1_000;

/**
 * Rollouts that agents make: a session for each, whose conversations are its parts. It waits until all have ended; the reward is
 * that of the agent, else that of the recipe for the last answer.
 *
 * Run again, it goes on with the sessions of agents elsewhere from the calls that were kept; those of agents that it starts
 * begin anew, as the agents died with the process.
 *
 * @throws {ForgeError} (from the rollout) CAPACITY_SESSION_LIMIT when a session did not end in time; CANCELLED when another
 *   attempt has the group; CONFLICT_STATE when no agent made a call; CONFIG_INVALID when nothing gave a reward; as `RunAgent`.
 */
export function sessionRollout(options: SessionRolloutOptions): GroupRollout {
  if (options.recipe.rollout.command !== undefined && options.agents === undefined)
    throw new ForgeError('BUG_INVARIANT', 'rollout.command is to be run, and nothing runs it');
  return async (context) => {
    const attempt = new Attempt(options, context);
    try {
      return await attempt.run();
    } finally {
      await attempt.close();
    }
  };
}

/** An attempt at the rollouts of a group; a later one fences it off. */
class Attempt {
  private readonly owner = randomUUID();
  private readonly ids: readonly string[];
  private readonly ending = new AbortController();
  private readonly signal: AbortSignal;
  private wake: () => void = () => undefined;
  private leave: () => void = () => undefined;

  constructor(
    private readonly options: SessionRolloutOptions,
    private readonly context: GroupContext,
  ) {
    const { group, groupSize, signal } = context;
    this.ids = Array.from({ length: groupSize }, (_, rollout) => `${group}-${rollout}`);
    this.signal = AbortSignal.any([this.ending.signal, ...(signal ? [signal] : [])]);
    this.signal.addEventListener('abort', () => this.wake());
  }

  async run(): Promise<Episode[]> {
    const { agents } = this.options;
    const opening = agents === undefined ? this.offer() : this.open();
    const seated = opening.then(({ sessions }) => sessions);
    // Calls may come as soon as the directory names this replica.
    this.leave = this.options.table.seat(this.ids, { sessions: seated, ended: () => this.wake() });
    seated.catch(() => undefined);
    const { sessions, keys } = await opening;
    const outcomes = agents === undefined ? await this.untilEnded() : await this.runAgents(sessions, keys);
    return this.episodes(sessions, outcomes);
  }

  /** Lets go of the sessions: calls that come from now on look for another process. */
  async close(): Promise<void> {
    this.leave();
    const { group, isEvaluation } = this.context;
    if (isEvaluation) await this.options.directory.remove(group, this.owner);
  }

  private get owned() {
    const { group, sample } = this.context;
    return { group, sample, replica: this.options.replica, owner: this.owner };
  }

  /** Sessions of agents elsewhere, as they stand; from the offer on an attempt before can keep no more calls. */
  private async offer(): Promise<Opened> {
    const { directory } = this.options;
    await directory.offer(this.ids.length, this.owned);
    const calls = await Promise.all(this.ids.map((id) => directory.calls(id)));
    return { sessions: await this.resume(calls), keys: [] };
  }

  private async open(): Promise<Opened> {
    const keys = await this.options.directory.open(this.ids.length, this.owned);
    return { sessions: await this.resume(this.ids.map(() => [])), keys };
  }

  private resume(calls: readonly KeptCall[][]): Promise<AgentSession[]> {
    return Promise.all(calls.map((kept, rollout) => AgentSession.resume(this.setting(rollout), kept)));
  }

  private setting(rollout: number): SessionSetting {
    const { directory, recipe } = this.options;
    const { maxTurns, maxTokens } = recipe.rollout;
    return {
      conversations: (drawn) => this.context.conversations(rollout, drawn),
      store: {
        keep: async (position, calls) => {
          try {
            return await directory.keep(this.ids[rollout]!, this.owner, position, calls);
          } catch (cause) {
            const error = ForgeError.from(cause);
            if (error.is('TRANSIENT_SESSION_LOST')) this.ending.abort(this.superseded());
            else if (!error.is('CONFLICT_SESSION_OVER')) this.ending.abort(error);
            throw error;
          }
        },
      },
      maxTurns,
      maxTokens,
      answerTokens: recipe.sampling.maxTokens,
    };
  }

  /** Outcomes of agents elsewhere, once all sessions have ended. */
  private async untilEnded(): Promise<AgentOutcome[]> {
    const { directory, recipe } = this.options;
    const { timeLimitMs = TIME_LIMIT_MS } = recipe.rollout;
    for (;;) {
      this.signal.throwIfAborted();
      const standing = await directory.standing(this.context.group, this.owner);
      if (standing === null) throw this.superseded();
      const late = standing.sessions.findIndex(({ hasEnded }) => !hasEnded);
      if (late < 0) return standing.sessions.map(({ reward }) => ({ reward, stderr: '' }));
      if (standing.takenForMs !== null && standing.takenForMs >= timeLimitMs) {
        const message = `session ${this.ids[late]} did not end within ${timeLimitMs} ms (rollout.timeLimitMs)`;
        throw new ForgeError('CAPACITY_SESSION_LIMIT', message, { limit: 'time' });
      }
      await this.pause();
    }
  }

  /** Waits a while, or until something ends. */
  private pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, LOOK_MS);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.signal.aborted) this.wake();
    });
  }

  /** Outcomes of agents of ours, once all have come to their end; when one fails, the others are ended, too. */
  private async runAgents(
    sessions: readonly AgentSession[],
    keys: readonly string[],
  ): Promise<AgentOutcome[]> {
    const works = sessions.map((session, rollout) => this.runAgent(session, rollout, keys[rollout]!));
    for (const work of works) work.catch((error: unknown) => this.ending.abort(error));
    const results = await Promise.allSettled(works);
    this.signal.throwIfAborted();
    return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  }

  private async runAgent(session: AgentSession, rollout: number, key: string): Promise<AgentOutcome> {
    const { agents, directory } = this.options;
    const { signal } = this;
    // Held-out rollouts are waited for, by a run that ends say; the others are many.
    const { sample, isEvaluation: isFirst } = this.context;
    const baseUrl = await agents!.baseUrl(signal);
    // One that was refused more calls may well fail: it is a rollout that was cut off.
    const outcome = await agents!.run({ baseUrl, key, sample, signal, isFirst }).catch((error: unknown) => {
      if (!session.isCutOff || signal.aborted) throw error;
      return { reward: null, stderr: ForgeError.from(error).message };
    });
    const id = this.ids[rollout]!;
    const reward = outcome.reward ?? (await directory.byId(id))?.reward ?? null;
    await directory.end(id);
    return { ...outcome, reward };
  }

  private async episodes(
    sessions: readonly AgentSession[],
    outcomes: readonly AgentOutcome[],
  ): Promise<Episode[]> {
    const concluded = await Promise.all(sessions.map((session) => session.conclude()));
    this.signal.throwIfAborted();
    const scored = concluded.map(async ({ last, episodes }, rollout) => {
      if (last === null) return [];
      const { reward, stderr } = outcomes[rollout]!;
      return withStderr(episodes(await this.score(last, rollout, reward), rollout), stderr);
    });
    const all = (await Promise.all(scored)).flat();
    if (all.length > 0) return all;
    const message = `group ${this.context.group}: its agents ended without a call, so there is nothing to train on`;
    throw new ForgeError('CONFLICT_STATE', message);
  }

  private async score(last: Completion, rollout: number, given: number | null): Promise<Score> {
    if (given !== null) return { reward: given, rewards: { [AGENT_REWARD]: given } };
    const { sample, reward } = this.context;
    if (this.options.recipe.rewards.length > 0) return reward.score(sample, last);
    const message = `session ${this.ids[rollout]} ended without a reward, and the recipe has no rewards; let the agent give one, or add rewards`;
    throw new ForgeError('CONFIG_INVALID', message, { field: 'rewards' });
  }

  private superseded(): ForgeError {
    const { group } = this.context;
    return new ForgeError('CANCELLED', `group ${group} is made by another attempt, or by none any more`);
  }
}

/** The episodes of a rollout, which show what its agent wrote behind all that was said. */
function withStderr(episodes: readonly Episode[], stderr: string): Episode[] {
  const text = stderr.trim();
  return episodes.map((episode, i) => {
    if (text === '' || i < episodes.length - 1) return episode;
    return { ...episode, conversation: [...(episode.conversation ?? []), { role: 'agent', text }] };
  });
}

interface Opened {
  sessions: AgentSession[];
  keys: string[];
}
