import type { ChatMessage, ToolCall } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { RolloutRecord } from '../rollouts/rollout';
import { mix } from '../tasks/seeded-hash';
import { faultOf, messageOf } from './fault';
import { seededRandom, type RolloutScope } from './rollout-scope';
import { parsedArguments, toolText, type OfferedTool } from './tools';
import { withinTime } from './within-time';

const TIMEOUT_MS = 10_000;

/** Refusal of a call, or a failed one: what the model is told. */
class CallFailure extends Error {}

/** Calls of one rollout to its tools, numbered: random numbers of a call follow from its number. */
export class ToolCalls {
  private made = 0;

  constructor(
    private readonly offered: ReadonlyMap<string, OfferedTool>,
    private readonly scope: RolloutScope,
    private readonly seed: number,
    private readonly record: RolloutRecord,
  ) {}

  /**
   * The messages that answer the calls, in their order. An unknown tool, invalid arguments, an error of the tool and a
   * call that takes too long are answers to the model, too.
   *
   * @throws {ForgeError} that a tool threw, naming tool and sample: it says that the model is not to blame.
   */
  answers(calls: readonly ToolCall[]): Promise<ChatMessage[]> {
    return Promise.all(calls.map((call) => this.answer(call, this.made++)));
  }

  private async answer({ id, name, arguments: given }: ToolCall, number: number): Promise<ChatMessage> {
    const content = await this.result(name, given, number).catch((error: unknown) => {
      if (!(error instanceof CallFailure)) throw error;
      return `Error: ${error.message}`;
    });
    return { role: 'tool', content, toolCallId: id, name };
  }

  private async result(name: string, given: unknown, number: number): Promise<string> {
    const offered = this.offered.get(name);
    if (offered === undefined) {
      this.record.count('tools/unknown_calls');
      throw new CallFailure(`there is no tool '${name}', only ${[...this.offered.keys()].join(', ')}`);
    }
    this.record.count(`tools/${name}/calls`);
    try {
      return await this.run(offered, given, number);
    } catch (error) {
      this.scope.signal.throwIfAborted();
      this.record.count(`tools/${name}/errors`);
      if (error instanceof ForgeError)
        throw faultOf({ kind: 'tool', name, sample: this.scope.sample }, error);
      throw new CallFailure(messageOf(error));
    }
  }

  private async run({ spec, tool, slots }: OfferedTool, given: unknown, number: number): Promise<string> {
    const args = await parsedArguments(tool, given);
    const { timeoutMs = TIMEOUT_MS } = tool;
    const seed = mix(this.seed, number);
    const scope = { ...this.scope, seed, random: seededRandom(seed) };
    const value = await slots.during(1, () =>
      this.record.time(`tools/${spec.name}/ms`, () =>
        withinTime({ timeoutMs, signal: this.scope.signal }, (signal) =>
          tool.run(args, { ...scope, signal }),
        ),
      ),
    );
    return toolText(value);
  }
}
