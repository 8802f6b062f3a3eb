import type { SettledAnswer } from '@forge/rl';
import type { Answer, Growth } from './answer';
import type { Asked } from './asked';
import type { CompletionGrowth, GatewayPolicy } from './gateway-policy';

/** A token that is a part of a character reads as this. */
const INCOMPLETE = '\ufffd';

/** One answer while it is generated: what of it can be told, each part once. */
export class GrowingAnswer {
  private readonly tokenIds: number[] = [];
  private readonly logprobs: number[] = [];
  private toldTokens = 0;
  private told = { reasoning: '', content: '' };

  constructor(
    private readonly policy: Pick<GatewayPolicy, 'tokenTexts' | 'settledText' | 'settledAnswer'>,
    private readonly asked: Asked,
    private readonly index: number,
    private readonly isChat: boolean,
  ) {}

  /** Growth of the answer; null: nothing that can be told yet. */
  async grow({ tokenIds, logprobs }: Omit<CompletionGrowth, 'rolloutId'>): Promise<Growth | null> {
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
    return this.tell(await this.settled(), from, to, this.tokenIds, this.logprobs, tokenTexts);
  }

  private async settled(): Promise<SettledAnswer> {
    const { tools, sampling } = this.asked;
    const stop = sampling.stop ?? [];
    const { tokenIds, policy, isChat } = this;
    const found = isChat
      ? await policy.settledAnswer({ tokenIds, tools: [...tools], stop })
      : { reasoning: '', content: await policy.settledText({ tokenIds, stop }) };
    return {
      reasoning: continued(this.told.reasoning, found.reasoning),
      content: continued(this.told.content, found.content),
    };
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
    { reasoning, content }: SettledAnswer,
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

/**
 * `whole`, where it goes on from what was told; else what was told, which can't be taken back, with the rest of a whole that
 * has lost the white space before it.
 */
function continued(told: string, whole: string): string {
  if (whole.startsWith(told)) return whole;
  const trimmed = told.trimStart();
  return whole.startsWith(trimmed) ? told + whole.slice(trimmed.length) : told;
}
