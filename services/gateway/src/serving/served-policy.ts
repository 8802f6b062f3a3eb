import { thisProc, type ActorMesh } from '@forge/actors';
import type { Completion } from '@forge/contracts';
import { Policy, type WorkerConfig } from '@forge/rl-actors';
import type { CompletionGrowth, DrawRequest, GatewayPolicy } from '../answers/gateway-policy';

/** A model in a thread of this process, as the policy behind the gateway. */
export class ServedPolicy implements GatewayPolicy {
  private constructor(private readonly actor: ActorMesh<Policy>) {}

  /** @throws {ForgeError} as `loadModel`. */
  static async open(worker: WorkerConfig): Promise<ServedPolicy> {
    return new ServedPolicy(await thisProc().spawn('policy', Policy, { worker }));
  }

  renderChat(request: Parameters<GatewayPolicy['renderChat']>[0]): ReturnType<GatewayPolicy['renderChat']> {
    return this.actor.renderChat.callOne(request);
  }

  parseAnswer(
    request: Parameters<GatewayPolicy['parseAnswer']>[0],
  ): ReturnType<GatewayPolicy['parseAnswer']> {
    return this.actor.parseAnswer.callOne(request);
  }

  settledText(request: Parameters<GatewayPolicy['settledText']>[0]): Promise<string> {
    return this.actor.settledText.callOne(request);
  }

  settledAnswer(
    request: Parameters<GatewayPolicy['settledAnswer']>[0],
  ): ReturnType<GatewayPolicy['settledAnswer']> {
    return this.actor.settledAnswer.callOne(request);
  }

  tokenTexts(tokenIds: readonly number[], positions: readonly number[]): Promise<string[]> {
    return this.actor.tokenTexts.callOne(tokenIds, positions);
  }

  async draw(
    { prompt, sampling, rolloutIds }: DrawRequest,
    signal: AbortSignal,
    grown: ((growth: CompletionGrowth) => Promise<void>) | null,
  ): Promise<Completion[]> {
    if (grown === null) return this.actor.generate.with({ signal }).callOne(prompt, sampling, rolloutIds);
    let completions: Completion[] = [];
    for await (const [, item] of this.actor.stream.with({ signal }).stream(prompt, sampling, rolloutIds)) {
      if (Array.isArray(item)) completions = item;
      else await grown(item);
    }
    return completions;
  }

  async close(): Promise<void> {
    await this.actor.stop({ drainMs: 0 });
  }
}
