import { setTimeout as sleep } from 'node:timers/promises';
import type { ChatMessage, Completion, Episode, Sampling, ToolCall } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Conversation } from '../conversation/conversation';
import type { Rollout, RolloutContext, Score } from '../rollouts/rollout';
import { hashText } from '../tasks/seeded-hash';
import type { EnvironmentSet } from './environment';
import { isFull } from './fault';
import type { TakenStep } from './guarded-environment';
import { seededRandom } from './rollout-scope';
import { openWorld, type World } from './rollout-world';
import { Slots } from './slots';
import type { ToolSet } from './tools';

/** Bounds of a rollout of several turns, each of which is a reason of its own to cut it off. */
export interface TurnBounds {
  /** Answers of the model, calls of tools included; default 8. */
  maxTurns?: number;
  /** Tokens that the model generates in all its answers together. */
  maxTokens?: number;
  /** Time of the whole rollout. */
  timeLimitMs?: number;
  /** Message of the system that opens the conversation, unless its messages have one. */
  system?: string;
  /** Sampling of its answers, where it differs from the recipe's. */
  sampling?: Partial<Sampling>;
}

export interface ToolRolloutOptions extends TurnBounds {
  tools: ToolSet;
  /** Rollouts at the same time in one process; left out: any number. */
  maxConcurrent?: number;
}

export interface EnvironmentRolloutOptions extends TurnBounds {
  environment: EnvironmentSet;
  /** Tools beside those of the environment. */
  tools?: ToolSet;
  /** Factor of the rewards of the environment; default 1. */
  weight?: number;
}

/**
 * Lets the model call tools until it answers without; the rewards of the recipe score that last answer.
 *
 * @throws {ForgeError} (from the rollout) that a tool threw; TRANSIENT_ENVIRONMENT_FAILED when tools can't be set up.
 */
export function toolRollout(options: ToolRolloutOptions): Rollout {
  return interactiveRollout(options);
}

/**
 * Lets the model act in an environment until that is done. The rewards of its steps add up to one by its name, and the rewards
 * of the recipe, if any, score the last answer.
 *
 * @throws {ForgeError} (from the rollout) for a fault of the environment, naming it and the sample.
 */
export function environmentRollout(options: EnvironmentRolloutOptions): Rollout {
  return interactiveRollout(options);
}

type Options = TurnBounds & Partial<ToolRolloutOptions & EnvironmentRolloutOptions>;

const MAX_TURNS = 8;
/** Waits for a place in an environment that is full, each twice the one before. */
const FIRST_WAIT_MS = 100;
const LAST_WAIT_MS = 10_000;

function interactiveRollout(options: Options): Rollout {
  const { environment, maxConcurrent = Infinity } = options;
  const slots = environment?.slots ?? new Slots(maxConcurrent);
  return async (context) => {
    const rollouts: Episode[][] = [];
    let patience = new Patience(environment, context);
    while (rollouts.length < context.groupSize) {
      const left = context.groupSize - rollouts.length;
      try {
        // A group takes its places at once: two that had half of theirs would wait for each other.
        rollouts.push(...(await slots.during(left, (count) => rollOut(options, context, count))));
        patience = new Patience(environment, context);
      } catch (error) {
        if (!isFull(error)) throw error;
        await patience.wait(error);
      }
    }
    return rollouts.flat();
  };
}

/**
 * The episodes of each of `count` rollouts side by side; of fewer, but one at least, where the environment has no place for
 * more. When one fails, the others end with their turn.
 *
 * @throws {ForgeError} CAPACITY_ENVIRONMENT_FULL where it has place for none.
 */
async function rollOut(options: Options, context: RolloutContext, count: number): Promise<Episode[][]> {
  const ending = new AbortController();
  const signal = AbortSignal.any([ending.signal, ...(context.signal ? [context.signal] : [])]);
  /** All results; each work has come to its end, also when one has failed. */
  const all = async <T>(works: readonly Promise<T>[]): Promise<PromiseSettledResult<T>[]> => {
    for (const work of works) work.catch((error: unknown) => isFull(error) || ending.abort(error));
    return Promise.allSettled(works);
  };
  const opened = await all(Array.from({ length: count }, () => openWorld(options, { ...context, signal })));
  const worlds = succeeded(opened);
  try {
    signal.throwIfAborted();
    const [first] = opened;
    if (worlds.length === 0 && first?.status === 'rejected') throw first.reason as Error;
    // Conversations are numbered as they begin: in order, however long each set-up took.
    const seated = worlds.map((world) => ({ world, chat: converse(options, context, world) }));
    const played = await all(seated.map((seat) => play(options, context, { ...seat, signal })));
    signal.throwIfAborted();
    return succeeded(played);
  } finally {
    await Promise.all(worlds.map((world) => world.close()));
  }
}

function succeeded<T>(results: readonly PromiseSettledResult<T>[]): T[] {
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

/** Waits for a place in an environment that is full: ever longer ones, and no more of them than it allows. */
class Patience {
  private waits = 0;
  private waitedMs = 0;
  private readonly random: () => number;

  constructor(
    private readonly environment: EnvironmentSet | undefined,
    private readonly context: RolloutContext,
  ) {
    const { seed, sample } = context;
    this.random = seededRandom(hashText(seed ?? sample.id));
  }

  /** @throws {ForgeError} `full` when there was wait enough. */
  async wait(full: unknown): Promise<void> {
    if (this.environment === undefined || this.waitedMs >= this.environment.fullWaitMs) throw full;
    // Groups that were refused together come back apart.
    const delayMs = Math.min(FIRST_WAIT_MS * 2 ** this.waits++, LAST_WAIT_MS) * (0.5 + this.random() / 2);
    const { signal } = this.context;
    await sleep(delayMs, undefined, signal && { signal });
    this.waitedMs += delayMs;
  }
}

interface Seat {
  world: World;
  chat: Conversation;
  signal: AbortSignal;
}

/** The conversation of a rollout, before its first turn. */
function converse(options: Options, { policy }: RolloutContext, { messages, specs }: World): Conversation {
  const { system, sampling, maxTokens, timeLimitMs, maxTurns = MAX_TURNS } = options;
  const isOpened = system === undefined || messages[0]?.role === 'system';
  const first: ChatMessage[] = isOpened ? messages : [{ role: 'system', content: system }, ...messages];
  const tools = specs.length === 0 ? undefined : specs;
  return policy.conversation(first, { tools, sampling, maxTurns, maxTokens, timeLimitMs });
}

/** The episodes of a rollout that is played to its end and scored. */
async function play(options: Options, context: RolloutContext, seat: Seat): Promise<Episode[]> {
  const { environment, weight = 1 } = options;
  const { sample, reward } = context;
  const { last, rewards, truncated } = await takeTurns(seat);
  const score = await reward.score(sample, last);
  if (environment === undefined) return seat.chat.episodes(score);
  const total = rewards.reduce((sum, value) => sum + value, 0);
  const whole: Score = {
    reward: score.reward + weight * total,
    rewards: { ...score.rewards, [environment.name]: total },
  };
  // Rewards of the recipe for the last answer are that turn's.
  const byTurn = rewards.map((value, t) => weight * value + (t === rewards.length - 1 ? score.reward : 0));
  const episodes = seat.chat.episodes(whole, byTurn);
  return truncated && seat.chat.end === null ? episodes.map((each) => ({ ...each, end: 'turns' })) : episodes;
}

/** Outcome of the turns of a rollout: a reward for each. */
interface Turns {
  last: Completion;
  rewards: number[];
  truncated: boolean;
}

async function takeTurns({ world, chat, signal }: Seat): Promise<Turns> {
  const rewards: number[] = [];
  let last: Completion | undefined;
  for (;;) {
    signal.throwIfAborted();
    const turn = await chat.next();
    if (turn === null) break;
    const { message } = turn;
    last = turn.completion;
    rewards.push(0);
    const calls = message.toolCalls ?? [];
    const isCall = calls.length > 0 && world.specs.length > 0;
    if (isCall && chat.end !== null) break;
    const step = isCall ? await callTools(world, calls) : await world.step(message);
    if (step === null) break;
    rewards[rewards.length - 1] = step.reward;
    if (step.done || step.truncated) return { last, rewards, truncated: step.truncated };
    if (chat.end !== null) break;
    chat.add(...step.messages);
  }
  if (last !== undefined) return { last, rewards, truncated: false };
  const message = `the conversation ended by its ${chat.end ?? 'limits'} before the first answer; shorten what it opens with`;
  throw new ForgeError('CAPACITY_PROMPT_TOO_LONG', message);
}

/** Calls as a step: what the tools say, and the outcome that the environment gives them. */
async function callTools(world: World, calls: readonly ToolCall[]): Promise<TakenStep> {
  const messages = await world.answers(calls);
  return { messages, ...(await world.outcome()) };
}
