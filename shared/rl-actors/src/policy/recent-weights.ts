import { ForgeError } from '@forge/errors';
import type { Parameters } from '@forge/weights';

/** Newest versions that can be had: what is done generating may be one version behind. */
const VERSIONS = 2;
/** Larger parameters are read again when they are wanted, instead of lying beside the engine's own copy. */
const KEPT_BYTES = 256 * 2 ** 20;

interface Version {
  /** null where they have to be read. */
  kept: Parameters | null;
  read: () => Promise<Parameters>;
}

/** The parameters of the two newest versions. */
export class RecentWeights {
  private readonly versions = new Map<number, Version>();

  constructor(private readonly keptBytes = KEPT_BYTES) {}

  /** Forgets the older version: three copies of a model may be more than there is memory for. */
  makeRoom(): void {
    for (const old of [...this.versions.keys()].slice(0, 1 - VERSIONS)) this.versions.delete(old);
  }

  /** Takes a new version, which `read` gives once more. */
  add(version: number, parameters: Parameters, read: () => Promise<Parameters>): void {
    this.makeRoom();
    const sizeBytes = [...parameters.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
    const isSmall = sizeBytes <= this.keptBytes;
    this.versions.delete(version);
    this.versions.set(version, { kept: isSmall ? parameters : null, read });
  }

  /** The parameters of a version; null when it is not among the newest, or its file is gone. */
  async get(version: number): Promise<Parameters | null> {
    const known = this.versions.get(version);
    if (known === undefined) return null;
    try {
      return known.kept ?? (await known.read());
    } catch (error) {
      if (ForgeError.from(error).code === 'STALE_WEIGHTS') return null;
      throw error;
    }
  }
}
