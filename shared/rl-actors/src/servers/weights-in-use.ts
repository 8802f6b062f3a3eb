import type { Canary, WeightsAnnouncement } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { checkCanary } from '@forge/model';
import type { ServedWeights, WeightsRoutes } from './generating-server';
import { ServerFault } from './server-fault';

/** A version as a server has it. */
export interface UsedWeights {
  version: number;
  /** Hash of the version; null for weights that nobody announced. */
  sha256: string | null;
  /** null: what the server began with. */
  served: ServedWeights | null;
  canary: Canary | undefined;
}

export interface WeightsInUseOptions {
  /** null: the server takes none, and goes on with its own as version 0. */
  routes: WeightsRoutes | null;
  update: 'drain' | 'pause';
  /** Largest difference of log-probs that is rounding. */
  tolerance: number;
  /** The path on the server of a folder with the announced weights. */
  folderOf: (announcement: WeightsAnnouncement) => Promise<string>;
  /** The hash that tokens of what the server began with stand under; null: none is told. */
  ownSha256: string | null;
}

/** Log-probs of the trainer that differ by more have moved. */
const MOVED = 1e-4;

/**
 * The weights a server generates with. Requests enter and leave; new weights wait for those under way, or end them. A server
 * that was lost gets its weights again before the next request enters. Weights prove themselves before they are used.
 */
export class WeightsInUse {
  private used: UsedWeights;
  private isThere = true;
  private readonly underWay = new Map<Promise<unknown>, UsedWeights>();
  private changes: Promise<unknown> = Promise.resolve();
  /** The change that requests wait for. */
  private closed: Promise<unknown> | null = null;
  private proved: { canary: Canary; found: readonly number[] } | null = null;

  constructor(private readonly options: WeightsInUseOptions) {
    this.used = { version: 0, sha256: options.ownSha256, served: null, canary: undefined };
  }

  get version(): number {
    return this.used.version;
  }

  /** Whether weights are being changed. */
  get isChanging(): boolean {
    return this.closed !== null;
  }

  /** The server may be another one by now: what it has is not known. */
  lost(): void {
    this.isThere = this.used.served === null;
  }

  /**
   * Lets a request in, with the weights to ask for.
   *
   * @throws as the request, or as putting weights again.
   */
  async during<T>(
    request: (used: UsedWeights) => Promise<T>,
    signal: AbortSignal,
  ): Promise<{ result: T; used: UsedWeights }> {
    while (this.closed !== null || !this.isThere) {
      signal.throwIfAborted();
      await (this.closed ?? this.putAgain(signal));
    }
    // Nothing has come between since it was seen to be open.
    const { used } = this;
    const work = request(used);
    this.underWay.set(work, used);
    try {
      return { result: await work, used };
    } finally {
      this.underWay.delete(work);
    }
  }

  /**
   * Takes announced weights; the version that counts from then on.
   *
   * @throws {ServerFault}
   * @throws {ForgeError} CONTRACT_CANARY_MISMATCH where the server generates with others, twice.
   */
  take(announcement: WeightsAnnouncement, signal: AbortSignal): Promise<number> {
    const { routes, folderOf } = this.options;
    if (routes === null) return Promise.resolve(this.version);
    const { version, sha256, canary } = announcement;
    return this.change(!routes.isBeside, async () => {
      const served = { name: `forge-v${version}-${sha256.slice(0, 12)}`, path: await folderOf(announcement) };
      const before = this.used;
      await this.put(routes, { version, sha256, served, canary }, signal);
      if (routes.isBeside && before.served !== null && before.served.name !== served.name)
        void this.dropOnceUnused(routes, before, signal);
      return version;
    });
  }

  private putAgain(signal: AbortSignal): Promise<void> {
    return this.change(true, async () => {
      if (!this.isThere) await this.put(this.options.routes!, this.used, signal);
    });
  }

  /** One change after the other; requests wait for one that is `closing`. */
  private change<T>(isClosing: boolean, work: () => Promise<T>): Promise<T> {
    const changed = this.changes.then(work);
    const settled = changed.catch(() => undefined);
    this.changes = settled;
    if (isClosing) {
      this.closed = settled;
      void settled.then(() => {
        if (this.closed === settled) this.closed = null;
      });
    }
    return changed;
  }

  private async put(routes: WeightsRoutes, next: UsedWeights, signal: AbortSignal): Promise<void> {
    const isPaused = await this.endOthers(routes, signal);
    try {
      if (!routes.isBeside) this.isThere = false;
      await routes.put(next.served!, signal);
    } finally {
      if (isPaused) await routes.resume(signal);
    }
    await this.prove(routes, next, signal).catch(async (error: unknown) => {
      if (!(error instanceof ForgeError) || !error.is('CONTRACT_CANARY_MISMATCH')) throw error;
      await routes.put(next.served!, signal);
      await this.prove(routes, next, signal);
    });
    this.used = next;
    this.isThere = true;
  }

  /** Waits until nothing is under way; whether the server was paused for that. */
  private async endOthers(routes: WeightsRoutes, signal: AbortSignal): Promise<boolean> {
    if (routes.isBeside || this.underWay.size === 0) return false;
    const isPaused = this.options.update === 'pause' && this.isThere;
    if (isPaused) await routes.pause(signal);
    await Promise.allSettled(this.underWay.keys());
    return isPaused;
  }

  private async prove(
    routes: WeightsRoutes,
    { version, served, canary }: UsedWeights,
    signal: AbortSignal,
  ): Promise<void> {
    if (canary === undefined) return;
    const found = await routes.score(canary.tokenIds, served!.name, signal);
    if (found.length !== canary.logprobs.length)
      throw new ServerFault(`scores ${found.length + 1} tokens, asked for ${canary.tokenIds.length}`);
    // Servers score at temperature 1.
    if (canary.temperature === 1) {
      const tolerance = Math.max(canary.tolerance, this.options.tolerance);
      checkCanary(version, { ...canary, tolerance }, found, { mathMode: 'float32' });
    }
    this.checkMoved(version, canary, found);
    this.proved = { canary, found };
  }

  /** Log-probs that are those of the version before to the last bit, while the trainer's have moved, are of that version. */
  private checkMoved(version: number, canary: Canary, found: readonly number[]): void {
    const before = this.proved;
    if (before === null) return;
    const moved = Math.max(
      ...canary.logprobs.map((logprob, t) => Math.abs(logprob - before.canary.logprobs[t]!)),
    );
    if (moved <= MOVED || found.some((logprob, t) => logprob !== before.found[t])) return;
    const message = `version ${version} is refused: the server finds the log-probs of the version before for its canary, while the trainer's have moved by ${moved}; it does not use what it was given`;
    throw new ForgeError('CONTRACT_CANARY_MISMATCH', message, { version });
  }

  /** An adapter that stays costs a place at the server, nothing else. */
  private async dropOnceUnused(routes: WeightsRoutes, old: UsedWeights, signal: AbortSignal): Promise<void> {
    const users = [...this.underWay].filter(([, used]) => used === old).map(([work]) => work);
    await Promise.allSettled(users);
    await routes.drop(old.served!.name, signal).catch(() => undefined);
  }
}
