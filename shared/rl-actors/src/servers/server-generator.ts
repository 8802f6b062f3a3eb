import { createHash } from 'node:crypto';
import { versionsOf, type Completion, type WeightHashes, type WeightsAnnouncement } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { Sequence, type GenerateRequest, type GeneratorStats, type SequenceRules } from '@forge/model';
import type { GeneratingServer, TokensGiven } from './generating-server';
import { Patience, type Clock } from './patience';
import { reasonFor } from './server-connection';
import { ServerFault } from './server-fault';
import { WeightsInUse, type UsedWeights, type WeightsInUseOptions } from './weights-in-use';

export interface ServerGeneratorOptions extends Omit<WeightsInUseOptions, 'routes'> {
  server: GeneratingServer;
  rules: SequenceRules;
  vocabSize: number;
  /** Longest wait of a request for the server. */
  waitMs: number;
  clock: Clock;
}

const LOOK_EVERY_MS = 2_000;
/** Looks in a row without an answer after which requests under way are given up. */
const LOST_LOOKS = 4;
/** Longest wait of announced weights for the server before they are tried again. */
const APPLY_WAIT_MS = 5_000;
/** Newest versions whose hashes are known: far more than take part in the work under way. */
const KNOWN_HASHES = 10_000;

/**
 * Generates by a server: what it is asked for is a continuation of token ids, what makes a completion of it is what it is
 * in `Generator`. A server that goes away is waited for, gets its weights again, and goes on.
 */
export class ServerGenerator {
  private readonly weights: WeightsInUse;
  private readonly closing = new AbortController();
  /** Ends what is under way at a server that is gone. */
  private givenUp = new AbortController();
  private readonly hashes = new Map<number, string>();
  private tokens = 0;
  private busyMs = 0;
  private active = 0;
  private busySinceMs = 0;

  constructor(private readonly options: ServerGeneratorOptions) {
    this.weights = new WeightsInUse({ ...options, routes: options.server.weights });
    if (options.ownSha256 !== null) this.hashes.set(0, options.ownSha256);
    void this.watch();
  }

  stats(): GeneratorStats {
    const { tokens, active: activeRows } = this;
    const busyMs = this.busyMs + (activeRows > 0 ? this.options.clock.now() - this.busySinceMs : 0);
    return { version: this.weights.version, tokens, busyMs, activeRows, queuedRows: 0 };
  }

  /**
   * One completion per rollout id, in their order. The seed of each goes to the server, whose draws depend on more than that.
   *
   * @throws {ForgeError} as `Generator.generate`; TRANSIENT_GENERATOR_UNREACHABLE; TRANSIENT_GENERATOR_FAILED;
   *   CONTRACT_GENERATOR_UNREADABLE; CONFIG_INVALID for a request that the server refuses; CONTRACT_UNAUTHORIZED.
   */
  async generate(request: GenerateRequest): Promise<Completion[]> {
    this.check(request.promptTokenIds);
    const others = new AbortController();
    const signal = AbortSignal.any([
      others.signal,
      this.closing.signal,
      ...(request.signal ? [request.signal] : []),
    ]);
    try {
      return await Promise.all(request.rolloutIds.map((id) => this.complete(request, id, signal)));
    } finally {
      // The others of a request that fails are for nobody.
      others.abort();
    }
  }

  /**
   * Takes announced weights; the version in use then.
   *
   * @throws {ForgeError} CONTRACT_CANARY_MISMATCH; TRANSIENT_GENERATOR_UNREACHABLE.
   */
  async applyWeights(announcement: WeightsAnnouncement): Promise<number> {
    const { server, clock } = this.options;
    const patience = new Patience(server.address, APPLY_WAIT_MS, clock);
    if (server.weights !== null) this.hashes.set(announcement.version, announcement.sha256);
    for (const old of [...this.hashes.keys()].slice(0, -KNOWN_HASHES)) this.hashes.delete(old);
    return this.patiently(patience, this.closing.signal, () =>
      this.weights.take(announcement, this.closing.signal),
    );
  }

  close(): void {
    this.closing.abort();
  }

  private check(promptTokenIds: readonly number[]): void {
    const { rules, vocabSize } = this.options;
    const { maxPositions } = rules;
    const tokens = promptTokenIds.length;
    if (tokens === 0 || tokens >= maxPositions) {
      const message = `a prompt of ${tokens} tokens; the model takes 1 to ${maxPositions - 1} and generates at least one more`;
      throw new ForgeError('CAPACITY_PROMPT_TOO_LONG', message, { tokens, maxPositions });
    }
    if (promptTokenIds.some((id) => id >= vocabSize))
      throw new ForgeError(
        'SHAPE_MISMATCH',
        `the prompt has a token id beyond the vocabulary of ${vocabSize}`,
      );
  }

  private async complete(request: GenerateRequest, id: string, signal: AbortSignal): Promise<Completion> {
    const { rules, server, waitMs, clock } = this.options;
    const patience = new Patience(server.address, waitMs, clock);
    const nothing = (): void => undefined;
    const sequence = new Sequence(request, id, rules, nothing, nothing);
    for (;;) {
      const { result, used } = await this.patiently(patience, signal, () =>
        this.weights.during((weights) => this.ask(sequence, id, weights, signal), signal),
      );
      this.add(sequence, result, used.version);
      const completion = sequence.completion() ?? (result.isEnded ? sequence.ended() : null);
      if (completion !== null) return { ...completion, ...this.hashesOf(completion, used) };
      sequence.tellGrowth();
      if (result.isInterrupted && !this.weights.isChanging)
        await patience.wait(new ServerFault('ends requests that nobody has cancelled'), signal);
      else patience.renew();
    }
  }

  /** Does what a server may fail at until it succeeds, or has taken too long. */
  private async patiently<T>(patience: Patience, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (signal.aborted) throw reasonFor(signal);
        if (!(error instanceof ServerFault)) throw error;
        if (error.isLost) this.weights.lost();
        await patience.wait(error, signal).catch((late: unknown) => {
          throw signal.aborted ? reasonFor(signal) : late;
        });
      }
    }
  }

  private async ask(
    sequence: Sequence,
    id: string,
    { served }: UsedWeights,
    signal: AbortSignal,
  ): Promise<TokensGiven> {
    const { server, rules } = this.options;
    const { promptTokenIds, sampling, seed } = sequence.request;
    this.enter();
    try {
      return await server.generate(
        {
          tokenIds: [...promptTokenIds, ...sequence.tokenIds],
          sampling,
          maxTokens: sequence.tokensLeft,
          seed: drawSeed(seed, id, sequence.tokenIds.length),
          endTokenIds: rules.endTokenIds,
          weights: served?.name ?? null,
        },
        AbortSignal.any([signal, this.givenUp.signal]),
      );
    } finally {
      this.leave();
    }
  }

  private add(sequence: Sequence, { tokenIds, logprobs }: TokensGiven, version: number): void {
    const before = sequence.tokenIds.length;
    for (const [t, token] of tokenIds.entries()) {
      if (sequence.isEnd) break;
      sequence.add(token, logprobs[t]!, version);
    }
    const tokens = sequence.tokenIds.length - before;
    this.tokens += tokens;
    sequence.request.onChunk?.({ endedAtMs: Date.now(), version, tokens, rows: 1 });
  }

  /** Nothing for weights that nobody announced. */
  private hashesOf(completion: Completion, { sha256 }: UsedWeights): { weightHashes?: WeightHashes } {
    if (sha256 === null) return {};
    const entries = versionsOf([completion]).map((version) => [version, this.hashes.get(version)!]);
    return { weightHashes: Object.fromEntries(entries) as WeightHashes };
  }

  private enter(): void {
    if (this.active === 0) this.busySinceMs = this.options.clock.now();
    this.active += 1;
  }

  private leave(): void {
    this.active -= 1;
    if (this.active === 0) this.busyMs += this.options.clock.now() - this.busySinceMs;
  }

  /** Looks again and again whether the server is there: one that was started anew has other weights. */
  private async watch(): Promise<void> {
    const { server, clock } = this.options;
    const { signal } = this.closing;
    for (let missed = 0; !signal.aborted;) {
      await clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await server.look(signal);
        missed = 0;
      } catch (error) {
        if (signal.aborted) return;
        missed += 1;
        this.weights.lost();
        if (missed % LOST_LOOKS !== 0) continue;
        const reason = error instanceof Error ? error.message : String(error);
        this.givenUp.abort(new ServerFault(reason, { isLost: true }));
        this.givenUp = new AbortController();
      }
    }
  }
}

/** Seed by which a server draws the rest of a completion, from its `position` on: 31 bits. */
function drawSeed(seed: number, rolloutId: string, position: number): number {
  const hash = createHash('sha256').update(`${seed}/${rolloutId}/${position}`).digest();
  return hash.readUInt32BE(0) >>> 1;
}
