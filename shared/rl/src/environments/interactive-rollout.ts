import type { ChatMessage, Completion, Episode, Sampling } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Conversation } from '../conversation/conversation';
import type { Rollout, RolloutContext, Score } from '../rollouts/rollout';
import type { EnvironmentSet } from './environment';
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

type Options = TurnBounds & Partial<Pick<EnvironmentRolloutOptions, 'environment' | 'tools' | 'weight'>>;

const MAX_TURNS = 8;

function interactiveRollout(options: Options): Rollout {
  const { environment } = options;
  const slots = environment?.slots ?? new Slots(Infinity);
  return async (context) => {
    const { groupSize } = context;
    const episodes: Episode[] = [];
    // A group takes its places at once: two that had half of theirs would wait for each other.
    const together = Math.min(groupSize, slots.size);
    for (let first = 0; first < groupSize; first += together) {
      const count = Math.min(together, groupSize - first);
      episodes.push(...(await slots.during(count, () => rollOut(options, context, count))));
    }
    return episodes;
  };
}

/** Episodes of `count` rollouts side by side; when one fails, the others end with their turn. */
async function rollOut(options: Options, context: RolloutContext, count: number): Promise<Episode[]> {
  const ending = new AbortController();
  const signal = AbortSignal.any([ending.signal, ...(context.signal ? [context.signal] : [])]);
  /** All results; each work has come to its end, also when one has failed. */
  const all = async <T>(works: readonly Promise<T>[]): Promise<PromiseSettledResult<T>[]> => {
    for (const work of works) work.catch((error: unknown) => ending.abort(error));
    return Promise.allSettled(works);
  };
  const opened = await all(Array.from({ length: count }, () => openWorld(options, { ...context, signal })));
  const worlds = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  try {
    signal.throwIfAborted();
    // Conversations are numbered as they begin: in order, however long each set-up took.
    const seated = worlds.map((world) => ({ world, chat: converse(options, context, world) }));
    const played = await all(seated.map((seat) => play(options, context, { ...seat, signal })));
    signal.throwIfAborted();
    return played.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  } finally {
    await Promise.all(worlds.map((world) => world.close()));
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

/** Outcome of the turns of a rollout: a reward for each, 0 where the answer was a call of tools. */
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
    if (calls.length > 0 && world.specs.length > 0) {
      if (chat.end !== null) break;
      chat.add(...(await world.answers(calls)));
      continue;
    }
    const step = await world.step(message);
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
