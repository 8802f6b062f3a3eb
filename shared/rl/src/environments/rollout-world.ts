import type { ChatMessage, ToolCall, ToolSpec } from '@forge/contracts';
import { unrecorded, type RolloutContext, type RolloutRecord } from '../rollouts/rollout';
import { hashText } from '../tasks/seeded-hash';
import type { EnvironmentSet } from './environment';
import { faultOf } from './fault';
import { GuardedEnvironment, type TakenOutcome, type TakenStep } from './guarded-environment';
import { promptMessages } from './prompt-messages';
import { seededRandom, type RolloutScope } from './rollout-scope';
import { ToolCalls } from './tool-calls';
import { joinOffered, offeredTools, type OpenTools, type ToolSet } from './tools';
import { closedWithinTime, openWithinTime } from './within-time';

const SET_UP_MS = 30_000;

/** Surroundings of one rollout besides the policy: its environment, and tools. */
export interface World {
  /** First messages of the conversation. */
  readonly messages: ChatMessage[];
  /** Tools as they are offered to the model. */
  readonly specs: ToolSpec[];
  /** Messages that answer the calls. */
  answers(calls: readonly ToolCall[]): Promise<ChatMessage[]>;
  /** Outcome of calls that have been answered. */
  outcome(): Promise<TakenOutcome>;
  /** Outcome of an answer of the model; null without an environment. */
  step(action: ChatMessage): Promise<TakenStep> | null;
  close(): Promise<void>;
}

interface WorldOptions {
  environment?: EnvironmentSet;
  tools?: ToolSet;
}

/**
 * The world of a rollout, all of it or nothing.
 *
 * @throws {ForgeError} for a fault of the environment or of the tools' set-up; CONFIG_INVALID when two tools have one name.
 */
export async function openWorld(
  { environment: source, tools }: WorldOptions,
  context: RolloutContext & { signal: AbortSignal },
): Promise<World> {
  const { sample, record = unrecorded, signal } = context;
  const seed = hashText(context.seed ?? sample.id);
  const drawn = (): RolloutScope => ({ sample, seed, random: seededRandom(seed), signal });
  const scope = drawn();
  const environment = source && new GuardedEnvironment(source, scope, record);
  let opened: OpenTools | undefined;
  const close = async (): Promise<void> => {
    await Promise.all([environment?.close(), opened && closeTools(opened, record)]);
  };
  try {
    // Tools draw numbers of their own: the environment's stay the same beside them.
    opened = tools && (await openTools(tools, drawn(), record));
    const messages = (await environment?.reset()) ?? promptMessages(sample);
    const own = environment?.tools;
    const offered = joinOffered([
      ...(opened === undefined ? [] : [opened.offered]),
      ...(own === undefined ? [] : [offeredTools(own, source!.toolSlots)]),
    ]);
    const calls = new ToolCalls(offered, scope, seed, record);
    return {
      messages,
      specs: [...offered.values()].map(({ spec }) => spec),
      answers: (asked) => calls.answers(asked),
      outcome: async () => environment?.outcome() ?? { reward: 0, done: false, truncated: false },
      step: (action) => environment?.step(action) ?? null,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openTools(tools: ToolSet, scope: RolloutScope, record: RolloutRecord): Promise<OpenTools> {
  const { signal, sample } = scope;
  const open = (): Promise<OpenTools> => tools.open(scope);
  try {
    return await openWithinTime({ timeoutMs: SET_UP_MS, signal }, open, (late) => closeTools(late, record));
  } catch (error) {
    signal.throwIfAborted();
    record.count('tools/failures');
    throw faultOf({ kind: 'tool', name: 'set-up', sample }, error);
  }
}

/** Puts the tools of a rollout away. A failure changes no result: it is counted. */
async function closeTools(opened: OpenTools, record: RolloutRecord): Promise<void> {
  if (!(await closedWithinTime(SET_UP_MS, () => opened.close()))) record.count('tools/failures');
}
