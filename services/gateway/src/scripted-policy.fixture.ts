import { setImmediate, setTimeout } from 'node:timers/promises';
import type { ChatMessage, Completion, ToolSpec } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { parseAnswer, settledAnswer, settledText, type Tokenizer } from '@forge/model';
import type { AnswerToParse, GrowingAnswer, GrowingText, SettledAnswer } from '@forge/rl';
import type { CompletionGrowth, DrawRequest, GatewayPolicy } from './answers/gateway-policy';

const bytesOf = (text: string): number[] => [...Buffer.from(text)];

/** A token for each byte, and a template with thinking and calls as Qwen3 has them. */
const BYTES = {
  decode: (tokenIds: readonly number[]) => Buffer.from(tokenIds).toString(),
  specialTokens: new Map<number, string>(),
  chatTemplate: { traits: { thinking: 'field', callForm: 'tagged-json' }, opensThinking: false },
} as unknown as Tokenizer;

/** A text that is answered; `<tool_call>` as Qwen's templates have it. */
export type Script = string | ((messages: readonly ChatMessage[]) => string);

/**
 * A policy that says what it is told to, a token for each byte, several at a time. It reads its prompt as JSON of the
 * messages.
 */
export class ScriptedPolicy implements GatewayPolicy {
  /** Prompts and sampling that were asked for, in their order. */
  readonly asked: DrawRequest[] = [];
  readonly rendered: { messages: ChatMessage[]; tools?: ToolSpec[] | undefined }[] = [];
  /** Calls that were cancelled. */
  cancelled = 0;
  /** Milliseconds that a chunk takes. */
  chunkMs = 0;
  maxPositions = 100_000;

  constructor(
    private readonly script: Script,
    private readonly chunk = 5,
  ) {}

  renderChat(request: { messages: ChatMessage[]; tools?: ToolSpec[] | undefined }): Promise<number[]> {
    this.rendered.push(request);
    return Promise.resolve(bytesOf(JSON.stringify(request.messages)));
  }

  parseAnswer(request: AnswerToParse): Promise<ChatMessage> {
    return Promise.resolve(parseAnswer(BYTES, request).message);
  }

  settledText(request: GrowingText): Promise<string> {
    return Promise.resolve(settledText(BYTES, request));
  }

  settledAnswer(request: GrowingAnswer): Promise<SettledAnswer> {
    return Promise.resolve(settledAnswer(BYTES, request));
  }

  async draw(
    request: DrawRequest,
    signal: AbortSignal,
    grown: ((growth: CompletionGrowth) => Promise<void>) | null,
  ): Promise<Completion[]> {
    this.asked.push(request);
    const promptTokenIds = this.tokensOf(request);
    const completions: Completion[] = [];
    for (const rolloutId of request.rolloutIds) {
      const completion = this.complete(promptTokenIds, request);
      completions.push(completion);
      const { tokenIds, logprobs } = completion;
      for (let at = 0; at < tokenIds.length; at += this.chunk) {
        if (this.chunkMs > 0) await setTimeout(this.chunkMs);
        else await setImmediate();
        if (signal.aborted) {
          this.cancelled += 1;
          throw new ForgeError('CANCELLED', 'generation was cancelled');
        }
        const to = Math.min(at + this.chunk, tokenIds.length);
        if (to === tokenIds.length) break;
        await grown?.({
          rolloutId,
          tokenIds: tokenIds.slice(at, to),
          logprobs: logprobs.slice(at, to),
        });
      }
    }
    return completions;
  }

  tokenTexts(tokenIds: readonly number[], positions: readonly number[]): Promise<string[]> {
    const textTo = (end: number): string =>
      Buffer.from(tokenIds.slice(0, end))
        .toString()
        .replace(/\ufffd+$/, '');
    const texts = positions.map((at) => textTo(at + 1).slice(textTo(at).length));
    const isCut =
      positions.length > 0 && textTo(tokenIds.length).length < Buffer.from(tokenIds).toString().length;
    return Promise.resolve(isCut ? [...texts.slice(0, -1), '\ufffd'] : texts);
  }

  private tokensOf({ prompt }: DrawRequest): number[] {
    const tokenIds =
      typeof prompt === 'string' ? bytesOf(prompt) : Array.isArray(prompt) ? [] : prompt.tokenIds;
    if (tokenIds.length < this.maxPositions) return tokenIds;
    const message = `a prompt of ${tokenIds.length} tokens; the model takes 1 to ${this.maxPositions - 1} and generates at least one more`;
    throw new ForgeError('CAPACITY_PROMPT_TOO_LONG', message, { tokens: tokenIds.length });
  }

  private complete(promptTokenIds: number[], { prompt, sampling }: DrawRequest): Completion {
    const isText = typeof prompt === 'string';
    const messages = isText ? [] : (JSON.parse(Buffer.from(promptTokenIds).toString()) as ChatMessage[]);
    const whole = typeof this.script === 'string' ? this.script : this.script(messages);
    const stops = (sampling.stop ?? []).map((stop) => whole.indexOf(stop)).filter((at) => at >= 0);
    const stop = Math.min(...stops);
    const cut = Number.isFinite(stop) ? whole.slice(0, stop) : whole;
    // The tokens of a stop string are a part of the completion.
    const drawn = Number.isFinite(stop)
      ? whole.slice(0, stop + sampling.stop!.find((one) => whole.startsWith(one, stop))!.length)
      : whole;
    const tokenIds = bytesOf(drawn).slice(0, sampling.maxTokens);
    const isLong = bytesOf(drawn).length > tokenIds.length;
    return {
      text: isLong ? Buffer.from(tokenIds).toString() : cut,
      promptTokenIds,
      tokenIds,
      logprobs: tokenIds.map((id) => -id / 256),
      versions: tokenIds.map(() => 0),
      stopReason: isLong ? 'length' : Number.isFinite(stop) ? 'stop' : 'end',
    };
  }
}
