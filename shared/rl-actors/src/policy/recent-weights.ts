import { ForgeError } from '@forge/errors';
import type { Parameters } from '@forge/weights';

/** Newest versions that can be had: what is done generating may be one version behind. */
const VERSIONS = 2;
/** Larger parameters are there only as long as a decoder runs with them, or are read again, as the engine has its own copy. */
const KEPT_BYTES = 256 * 2 ** 20;

interface Version {
  /** null where they are large. */
  kept: Parameters | null;
  used: WeakRef<Parameters>;
  /** null where nothing is read again. */
  read: (() => Promise<Parameters>) | null;
}

/** The parameters of the two newest versions. */
export class RecentWeights {
  private readonly versions = new Map<number, Version>();

  constructor(private readonly keptBytes = KEPT_BYTES) {}

  /** Forgets the older version: three copies of a model may be more than there is memory for. */
  makeRoom(): void {
    for (const old of [...this.versions.keys()].slice(0, 1 - VERSIONS)) this.versions.delete(old);
  }

  /** Takes a new version, which `read` gives once more; null where its parameters stay in memory as long as they are used. */
  add(version: number, parameters: Parameters, read: (() => Promise<Parameters>) | null): void {
    this.makeRoom();
    const kept = this.isSmall(parameters) ? parameters : null;
    this.versions.delete(version);
    this.versions.set(version, { kept, used: new WeakRef(parameters), read });
  }

  isSmall(parameters: Parameters): boolean {
    const sizeBytes = [...parameters.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
    return sizeBytes <= this.keptBytes;
  }

  /** The parameters of a version, those in use where they are; null when it is not among the newest, or they are gone. */
  async get(version: number): Promise<Parameters | null> {
    const known = this.versions.get(version);
    if (known === undefined) return null;
    try {
      return known.kept ?? known.used.deref() ?? (await known.read?.()) ?? null;
    } catch (error) {
      if (ForgeError.from(error).code === 'STALE_WEIGHTS') return null;
      throw error;
    }
  }
}
