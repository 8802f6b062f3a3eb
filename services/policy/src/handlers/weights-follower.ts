import type { AnnouncedWeights, WeightVersions } from '@forge/broker';
import type { WeightsAnnouncement } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Logger } from '@forge/telemetry';

const BLOCK_MS = 1000;

/** Applies announced weights as they come, and lets work wait for a version. */
export class WeightsFollower {
  private version = -1;
  private waiting: { version: number; resolve: () => void }[] = [];
  private isStopped = false;

  constructor(
    private readonly versions: Pick<WeightVersions, 'latest' | 'next' | 'refuse'>,
    private readonly apply: (announcement: WeightsAnnouncement) => Promise<unknown>,
    private readonly logger: Logger,
  ) {}

  get hasWeights(): boolean {
    return this.version >= 0;
  }

  /** Runs until `stop`. */
  async follow(): Promise<void> {
    let seen = '0';
    let latest = await this.versions.latest();
    while (latest !== null && !(await this.take(latest))) latest = await this.versions.latest();
    if (latest !== null) seen = latest.id;
    while (!this.isStopped) {
      const next = await this.versions.next(seen, BLOCK_MS);
      if (next !== null && (await this.take(next))) seen = next.id;
    }
  }

  stop(): void {
    this.isStopped = true;
  }

  /** Resolves once weights of that version or a newer one are in use. */
  atLeast(version: number): Promise<void> {
    if (this.version >= version) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push({ version, resolve }));
  }

  /** False when they are not what the announcement says, which is dropped then. */
  private async take({ id, announcement }: AnnouncedWeights): Promise<boolean> {
    try {
      await this.apply(announcement);
    } catch (error) {
      if (error instanceof ForgeError && error.code === 'CONTRACT_WEIGHTS_CORRUPT') {
        await this.versions.refuse(id, error);
        return false;
      }
      // The trainer went on and collected it; the next announcement is there or comes.
      if (!(error instanceof ForgeError) || error.code !== 'STALE_WEIGHTS') throw error;
      this.logger.warn({ version: announcement.version }, 'weights were collected before they were read');
      return true;
    }
    this.version = announcement.version;
    const isReached = ({ version }: { version: number }): boolean => version <= this.version;
    for (const { resolve } of this.waiting.filter(isReached)) resolve();
    this.waiting = this.waiting.filter((one) => !isReached(one));
    return true;
  }
}
