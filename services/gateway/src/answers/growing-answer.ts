import type { Answer, Growth } from './answer';
import type { Asked } from './asked';
import type { CompletionGrowth, GatewayPolicy } from './gateway-policy';
import { GrowingMessage } from './growing-message';

/** A token that is a part of a character reads as this. */
const INCOMPLETE = '\ufffd';

/** One answer while it is generated: what of it can be told, each part once. */
export class GrowingAnswer {
  private readonly tokenIds: number[] = [];
  private readonly logprobs: number[] = [];
  private toldTokens = 0;
  private told = { reasoning: '', content: '' };
  private text = '';
  private readonly message: GrowingMessage | null;

  constructor(
    private readonly policy: Pick<GatewayPolicy, 'tokenTexts'>,
    private readonly asked: Asked,
    private readonly index: number,
    isChat: boolean,
  ) {
    this.message = isChat ? new GrowingMessage(asked.tools.length > 0) : null;
  }

  /** What is new; null: nothing that can be told yet. */
  async grow({ text, tokenIds, logprobs }: Omit<CompletionGrowth, 'rolloutId'>): Promise<Growth | null> {
    this.text += text;
    this.tokenIds.push(...tokenIds);
    this.logprobs.push(...logprobs);
    const from = this.toldTokens;
    let to = this.tokenIds.length;
    let tokenTexts: string[] | null = null;
    if (this.asked.withLogprobs) {
      const positions = Array.from({ length: to - from }, (_, i) => from + i);
      tokenTexts = await this.policy.tokenTexts(this.tokenIds, positions);
      // The last tokens wait for the rest of their character.
      while (tokenTexts.length > 0 && tokenTexts.at(-1)!.endsWith(INCOMPLETE)) tokenTexts.pop();
      while (tokenTexts.length < to - from && tokenTexts.at(-1) === '') tokenTexts.pop();
      to = from + tokenTexts.length;
    }
    const settled = this.message?.settled(this.text) ?? { reasoning: '', content: this.text };
    return this.tell(settled, from, to, this.tokenIds, this.logprobs, tokenTexts);
  }

  /** The rest of the whole answer. */
  end({ completion, message, tokenTexts }: Answer): Growth | null {
    const from = this.toldTokens;
    const { tokenIds, logprobs } = completion;
    const whole = {
      reasoning: continued(this.told.reasoning, message.reasoning ?? ''),
      content: continued(this.told.content, message.content),
    };
    return this.tell(whole, from, tokenIds.length, tokenIds, logprobs, tokenTexts?.slice(from) ?? null);
  }

  private tell(
    { reasoning, content }: { reasoning: string; content: string },
    from: number,
    to: number,
    tokenIds: readonly number[],
    logprobs: readonly number[],
    tokenTexts: readonly string[] | null,
  ): Growth | null {
    const growth: Growth = {
      index: this.index,
      reasoning: reasoning.slice(this.told.reasoning.length),
      content: content.slice(this.told.content.length),
      tokenIds: tokenIds.slice(from, to),
      logprobs: logprobs.slice(from, to),
      tokenTexts,
    };
    this.told = { reasoning, content };
    this.toldTokens = to;
    const isNothing = growth.reasoning === '' && growth.content === '' && from === to;
    return isNothing ? null : growth;
  }
}

/** `whole`, where it goes on from what was told; else what was told: it can't be taken back. */
function continued(told: string, whole: string): string {
  return whole.startsWith(told) ? whole : told;
}
