import { statSync } from 'node:fs';
import type { LedgerSnapshot } from '@forge/broker';
import { runPaths, type WeightsManifest } from '@forge/contracts';
import { WeightStore } from '@forge/weights';
import type { RunAccess } from './run-access';

/** A version whose weights lie in the directory of its run. */
export interface KeptWeights {
  version: number;
  sha256: string;
  sizeBytes: number;
  /** ISO 8601; null: the file is gone. */
  writtenAt: string | null;
  parent: WeightsManifest['parent'];
  rolledBackTo: number | null;
  /** The groups its step trained. */
  groups: readonly number[];
  /** Live policies that generate with it. */
  usedBy: readonly string[];
}

/** The weight versions in the directory of a run. */
export function runWeights(directory: string): WeightStore {
  return new WeightStore({ dir: runPaths(directory).weights, keep: 2 });
}

/** The version a run is at, and those that were committed and are kept, oldest first. */
export async function keptWeights(
  directory: string,
  { runState, registry }: Pick<RunAccess, 'runState' | 'registry'>,
): Promise<{ version: number; weights: KeptWeights[] }> {
  const store = runWeights(directory);
  const [snapshot, users, live] = await Promise.all([
    runState.ledgerSnapshot(),
    runState.weights.users(),
    registry.list('policy'),
  ]);
  const names = new Set(live.map(({ replica }) => `policy/${replica}`));
  const weights = committed(await store.manifests(), snapshot).map((manifest) => {
    const { version, sha256, sizeBytes, parent, trained } = manifest;
    const by = [...users].filter(([user, use]) => names.has(user) && use.version === version);
    const writtenAt = statSync(store.blobOf(manifest), { throwIfNoEntry: false })?.mtime ?? null;
    return {
      version,
      sha256,
      sizeBytes,
      writtenAt: writtenAt?.toISOString() ?? null,
      parent,
      rolledBackTo: snapshot.versions.get(version)?.rolledBackTo ?? null,
      groups: trained?.groups ?? [],
      usedBy: by.map(([user]) => user),
    };
  });
  return { version: snapshot.run.version, weights };
}

/** Manifests of committed versions: a trainer that died may have left a version it did not come to announce. */
function committed(manifests: readonly WeightsManifest[], { versions }: LedgerSnapshot): WeightsManifest[] {
  const newest = new Map<number, WeightsManifest>();
  for (const manifest of manifests)
    if (versions.get(manifest.version)?.weightsHash === manifest.sha256)
      newest.set(manifest.version, manifest);
  return [...newest.values()];
}
