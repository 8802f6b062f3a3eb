import { join } from 'node:path';
import { callContext, endpoint, ForgeActor } from '@forge/actors';
import { parseConfig } from '@forge/config';
import {
  check,
  episodeSchema,
  sampleSchema,
  traceparentSchema,
  weightsAnnouncementSchema,
  type ChatMessage,
  type Completion,
  type Episode,
  type WeightsAnnouncement,
  type Prompt,
} from '@forge/contracts';
import type {
  AnswerToParse,
  Bridge,
  BridgeRequest,
  GrowingAnswer,
  GrowingText,
  RenderRequest,
  SettledAnswer,
} from '@forge/rl';
import type { WorkerHandle } from '@forge/threads';
import type { GeneratorStats, Growth } from '@forge/model';
import { z } from 'zod';
import { activeTrace, inSpan, recordSpan, traceOf } from '@forge/telemetry';
import { openWorker } from '../open-worker';
import {
  answerToParseSchema,
  bridgeRequestSchema,
  growingAnswerSchema,
  growingTextSchema,
  renderRequestSchema,
} from './chat-requests';
import type { ChatApi } from './chat-worker';
import { describeGenerate } from './generate-span';
import type { GeneratorApi, StreamGrowth } from './generator-worker';
import { ItemQueue } from './item-queue';
import {
  policyConfigSchema,
  promptSamplingSchema,
  servedBy,
  type PolicyConfig,
  type PolicySettings,
  type SamplingOverrides,
} from './policy-config';

const promptSchema = sampleSchema.shape.prompt;
const countsSchema = z.array(z.int().min(0));
const rolloutIdsSchema = z.array(z.string()).min(1).max(1024);

interface GenerateArguments {
  prompt: Prompt;
  overrides: SamplingOverrides;
  rolloutIds: readonly string[] | null;
  traceparent: string | null;
}

/**
 * A model that answers prompts. All prompts that are asked for at a time are decoded together; new weights take effect
 * between two chunks of tokens while generation goes on. It starts with the model's own weights as version 0. Where `engine` is a
 * server, that generates.
 */
export class Policy extends ForgeActor {
  private readonly settings: PolicySettings;
  private worker!: WorkerHandle<GeneratorApi>;
  /** The thread of messages, once there are any. */
  private chat: Promise<WorkerHandle<ChatApi>> | null = null;
  /** Listeners to the growth of completions, by the number of their stream. */
  private readonly streams = new Map<number, (growth: Growth) => void>();
  private nextStream = 0;

  /** @throws {ForgeError} CONFIG_INVALID; from `setup` what `loadModel` throws. */
  constructor(config: PolicyConfig) {
    super();
    this.settings = parseConfig(policyConfigSchema, config, 'PolicyConfig');
  }

  override async setup(): Promise<void> {
    const isServed = servedBy(this.settings.worker) !== null;
    const module = join(__dirname, isServed ? 'server-worker' : 'generator-worker');
    this.worker = await openWorker<GeneratorApi>(module, this.settings);
    this.worker.on('growth', (event) => {
      const { streamId, growth } = event as StreamGrowth;
      this.streams.get(streamId)?.(growth);
    });
  }

  override async cleanup(): Promise<void> {
    const chat = await this.chat?.catch(() => null);
    await Promise.all([this.worker.terminate(), chat?.terminate()]);
  }

  /**
   * `n` completions of a prompt, each token with its log-prob and the version of the weights that produced it. A caller
   * that cancels the call frees its place in the batch.
   *
   * The draw depends on weights, prompt, sampling, seed and `rolloutIds` only, one id for each completion (their
   * number overrules `n`); without them every call draws anew. `traceparent` names the span it belongs to, where that
   * is not the call's.
   *
   * @throws {ForgeError} CONTRACT_INVALID_MESSAGE for sampling out of bounds; CAPACITY_PROMPT_TOO_LONG; CANCELLED;
   *   NUMERIC_NON_FINITE.
   */
  @endpoint({ concurrent: true, idempotent: true })
  async generate(
    prompt: Prompt,
    overrides: SamplingOverrides = {},
    rolloutIds: readonly string[] | null = null,
    traceparent: string | null = null,
  ): Promise<Completion[]> {
    return this.draw({ prompt, overrides, rolloutIds, traceparent }, null, callContext().signal);
  }

  /**
   * As `generate`: yields what the completions grow by while they are generated, each chunk of tokens once, and at last
   * all completions. A caller that ends the loop frees their places in the batch.
   *
   * @throws {ForgeError} as `generate`.
   */
  @endpoint({ concurrent: true })
  async *stream(
    prompt: Prompt,
    overrides: SamplingOverrides = {},
    rolloutIds: readonly string[] | null = null,
    traceparent: string | null = null,
  ): AsyncGenerator<Growth | Completion[]> {
    const items = new ItemQueue<Growth | Completion[]>();
    const streamId = this.nextStream++;
    this.streams.set(streamId, (growth) => items.add(growth));
    const left = new AbortController();
    const signal = AbortSignal.any([callContext().signal, left.signal]);
    this.draw({ prompt, overrides, rolloutIds, traceparent }, streamId, signal).then(
      (completions) => items.end(completions),
      (error: unknown) => items.fail(error),
    );
    try {
      yield* items;
    } finally {
      left.abort();
      this.streams.delete(streamId);
    }
  }

  private draw(
    { prompt, overrides, rolloutIds, traceparent }: GenerateArguments,
    streamId: number | null,
    signal: AbortSignal,
  ): Promise<Completion[]> {
    const { key } = callContext();
    const merged = { ...this.settings.sampling, ...overrides };
    const { n, ...sampling } = check(promptSamplingSchema, merged, 'sampling');
    const request = {
      prompt: check(promptSchema, prompt, 'prompt'),
      rolloutIds: rolloutIds ?? Array.from({ length: n }, (_, k) => `${key}-${k}`),
      sampling,
    };
    check(rolloutIdsSchema, request.rolloutIds, 'rolloutIds');
    const parent =
      traceparent === null ? activeTrace() : traceOf(check(traceparentSchema, traceparent, 'traceparent'));
    return inSpan('generate', { parent }, async (span) => {
      const timed = { ...request, isTimed: span?.isRecording() === true, streamId };
      const { completions, chunks } = await this.worker.call('generate', timed, { signal });
      if (span !== null && timed.isTimed)
        describeGenerate(span, { model: this.settings.worker.model, ...request, completions, chunks });
      return completions;
    });
  }

  /**
   * Token ids of messages, up to where the assistant begins to speak.
   *
   * @throws {ForgeError} CONTRACT_INVALID_MESSAGE; CONFIG_TOKENIZER_INVALID without a chat template, or with tools where
   *   its calls can't be read; CONFIG_DATASET_INVALID when it refuses the messages.
   */
  @endpoint({ concurrent: true, idempotent: true })
  async renderChat(request: RenderRequest): Promise<number[]> {
    return (await this.chatWorker()).call('renderChat', check(renderRequestSchema, request, 'request'));
  }

  /**
   * Prompt of the next turn of a conversation: the token ids that stand, as they were sampled, and the added messages behind
   * them; the reason of a fork where the chat template can't be proved to allow that.
   *
   * @throws {ForgeError} as `renderChat`.
   */
  @endpoint({ concurrent: true, idempotent: true })
  async bridgeChat(request: BridgeRequest): Promise<Bridge> {
    return (await this.chatWorker()).call('bridgeChat', check(bridgeRequestSchema, request, 'request'));
  }

  /**
   * The message that sampled token ids are: content, thinking and calls of tools. A call that can't be read stays in the
   * content and is counted as `conversation/malformed_calls`.
   *
   * @throws {ForgeError} CONTRACT_INVALID_MESSAGE.
   */
  @endpoint({ concurrent: true, idempotent: true })
  async parseAnswer(request: AnswerToParse): Promise<ChatMessage> {
    return (await this.chatWorker()).call('parseAnswer', check(answerToParseSchema, request, 'request'));
  }

  /**
   * The text that a completion of which there are these token ids so far is sure to begin with: no part of a character, and
   * nothing that may begin a stop string.
   *
   * @throws {ForgeError} CONTRACT_INVALID_MESSAGE.
   */
  @endpoint({ concurrent: true, idempotent: true })
  async settledText(request: GrowingText): Promise<string> {
    return (await this.chatWorker()).call('settledText', check(growingTextSchema, request, 'request'));
  }

  /**
   * The parts that `parseAnswer` is sure to find in an answer of which there are these token ids so far.
   *
   * @throws {ForgeError} CONTRACT_INVALID_MESSAGE.
   */
  @endpoint({ concurrent: true, idempotent: true })
  async settledAnswer(request: GrowingAnswer): Promise<SettledAnswer> {
    return (await this.chatWorker()).call('settledAnswer', check(growingAnswerSchema, request, 'request'));
  }

  private chatWorker(): Promise<WorkerHandle<ChatApi>> {
    const { model, date } = this.settings.worker;
    return (this.chat ??= openWorker<ChatApi>(join(__dirname, 'chat-worker'), { model, date }));
  }

  /**
   * Takes announced weights, which count from the next chunk of tokens on; nothing waits, sequences under way go on
   * with them. The version in use then: a newer one when that came meanwhile.
   *
   * @throws {ForgeError} STALE_WEIGHTS when they were deleted; CONTRACT_WEIGHTS_CORRUPT.
   */
  @endpoint({ concurrent: true, idempotent: true })
  async applyWeights(announcement: WeightsAnnouncement): Promise<number> {
    const checked = check(weightsAnnouncementSchema, announcement, 'announcement');
    const [parent, startMs] = [activeTrace(), Date.now()];
    const { version, fetchedAtMs, appliedAtMs } = await this.worker.call('applyWeights', checked);
    const attributes = { 'forge.policy.version': checked.version };
    recordSpan(
      'fetch',
      { parent, startMs, attributes: { ...attributes, 'forge.size_bytes': checked.sizeBytes } },
      fetchedAtMs,
    );
    recordSpan('apply', { parent, startMs: fetchedAtMs, attributes }, appliedAtMs);
    return version;
  }

  /** Version of the weights that the next chunk uses. */
  @endpoint({ concurrent: true, idempotent: true })
  async version(): Promise<number> {
    return (await this.stats()).version;
  }

  /** Tokens generated and time spent on it since the start, and what is under way. */
  @endpoint({ concurrent: true, idempotent: true })
  stats(): Promise<GeneratorStats> {
    return this.worker.call('stats', undefined);
  }

  /**
   * How far the log-probs recorded at generation are from what the training graph gives under the same weights; null
   * when several versions took part, or one that is gone by now.
   */
  @endpoint({ concurrent: true, idempotent: true })
  mismatch(episode: Episode): Promise<number | null> {
    return this.worker.call('mismatch', check(episodeSchema, episode, 'episode'));
  }

  /** Text that each of the tokens at `positions`, in ascending order, adds, for people; special ones included. */
  @endpoint({ concurrent: true, idempotent: true })
  tokenTexts(tokenIds: readonly number[], positions: readonly number[]): Promise<string[]> {
    const tokens = {
      tokenIds: check(countsSchema, tokenIds, 'tokenIds'),
      positions: check(countsSchema, positions, 'positions'),
    };
    return this.worker.call('tokenTexts', tokens);
  }
}
