import type { AnnouncedWeights, WeightVersions } from '@forge/broker';
import type { WeightsAnnouncement } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { inSpan, SpanKind, traceOf, type Logger } from '@forge/telemetry';

export interface WeightsFollowerOptions {
  versions: Pick<WeightVersions, 'current' | 'latest' | 'next' | 'use' | 'leave' | 'askAgain'>;
  /** Names this policy among those that use weights. */
  user: string;
  apply: (announcement: WeightsAnnouncement) => Promise<unknown>;
  /** Told when other weights have come into use. */
  onTaken?: () => void;
  logger: Pick<Logger, 'warn'>;
}

const BLOCK_MS = 1000;
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 2_000;
/** Weights that are damaged, gone, or not what they are taken for: the version in use stays in use, and others may come. */
const REFUSED = ['CONTRACT_WEIGHTS_CORRUPT', 'CONTRACT_CANARY_MISMATCH', 'STALE_WEIGHTS'];
/** Failures of a server that generates, which has to take the weights: they are in order, and tried again. */
const UNTAKEN = ['TRANSIENT_GENERATOR_UNREACHABLE', 'TRANSIENT_GENERATOR_FAILED'];

/** Applies announced weights as they come, and lets work wait for a version. */
export class WeightsFollower {
  private version = -1;
  private hash = '';
  private refusals = 0;
  private waiting: { version: number; resolve: () => void }[] = [];
  private isStopped = false;

  constructor(private readonly options: WeightsFollowerOptions) {}

  get hasWeights(): boolean {
    return this.version >= 0;
  }

  /** Version of the weights in use; -1 before there are any. */
  get inUse(): number {
    return this.version;
  }

  /** Count of announced weights that could not be read, or did not prove themselves. */
  get refused(): number {
    return this.refusals;
  }

  /** Runs until `stop`. Weights that are refused are asked for again and tried again, in growing pauses. */
  async follow(): Promise<void> {
    const { versions, user } = this.options;
    let due = await versions.latest();
    let seen = '0';
    let failures = 0;
    while (!this.isStopped) {
      if (due !== null) {
        seen = due.id;
        const isTaken = await this.take(due.announcement);
        failures = isTaken ? 0 : failures + 1;
        if (isTaken) due = null;
      }
      const pauseMs = failures === 0 ? BLOCK_MS : Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
      due = (await versions.next(seen, pauseMs)) ?? due;
      if (due === null) due = await this.wentBack();
    }
    await versions.leave(user);
  }

  stop(): void {
    this.isStopped = true;
  }

  /** Resolves once weights of that version or a newer one are in use. */
  atLeast(version: number): Promise<void> {
    if (this.version >= version) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push({ version, resolve }));
  }

  /** The announced weights when the run is at an older version than is in use: Redis died and lost its newest. */
  private async wentBack(): Promise<AnnouncedWeights | null> {
    const { versions } = this.options;
    const current = await versions.current();
    if (current >= this.version) return null;
    this.version = current - 1;
    return versions.latest();
  }

  /** Applies announced weights; true when they are in use. */
  private async take(announcement: WeightsAnnouncement): Promise<boolean> {
    const { versions, user, apply, logger } = this.options;
    const { version, sha256 } = announcement;
    // The version was announced twice.
    if (version < this.version || (version === this.version && sha256 === this.hash)) return true;
    await versions.use(user, { version: this.hasWeights ? this.version : null, reading: version });
    try {
      const parent = traceOf(announcement.traceparent);
      const attributes = { 'forge.policy.version': version };
      await inSpan('apply weights', { parent, kind: SpanKind.CONSUMER, attributes }, () =>
        apply(announcement),
      );
    } catch (error) {
      if (!(error instanceof ForgeError) || ![...REFUSED, ...UNTAKEN].includes(error.code)) throw error;
      if (UNTAKEN.includes(error.code)) {
        logger.warn({ version, inUse: this.version, err: error }, 'the server does not take weights now');
        return false;
      }
      this.refusals += 1;
      logger.warn({ version, inUse: this.version, err: error }, 'announced weights are refused');
      await versions.askAgain(version);
      return false;
    }
    this.version = version;
    this.hash = sha256;
    await versions.use(user, { version, reading: null });
    const isReached = (one: { version: number }): boolean => one.version <= version;
    for (const { resolve } of this.waiting.filter(isReached)) resolve();
    this.waiting = this.waiting.filter((one) => !isReached(one));
    this.options.onTaken?.();
    return true;
  }
}
