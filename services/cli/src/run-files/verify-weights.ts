import { isDeepStrictEqual } from 'node:util';
import type { LedgerSnapshot } from '@forge/broker';
import type { WeightsManifest } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { inspectBlob, type WeightStore } from '@forge/weights';

/**
 * Reads every blob of a run again and compares it with its manifest, and the manifests with the versions of the run and
 * with each other. Each disagreement in words.
 *
 * Edge: a version of a trainer that died before its commit is not the run's; only its blob is looked at, where there is
 * one. A version collected in the meantime is no disagreement.
 */
export async function verifyWeights(
  store: WeightStore,
  snapshotOf: () => Promise<LedgerSnapshot>,
): Promise<{ versions: number; problems: string[] }> {
  const problems: string[] = [];
  let before: WeightsManifest[];
  try {
    before = await store.manifests();
  } catch (error) {
    if (error instanceof ForgeError) return { versions: 0, problems: [error.message] };
    throw error;
  }
  const { run, versions } = await snapshotOf();
  for (const manifest of before) {
    const { version, epoch, sha256, parent } = manifest;
    const name = `version ${version} (epoch ${epoch})`;
    const recorded = versions.get(version);
    const isOurs = recorded?.weightsHash === sha256;
    const blob = await verifyBlob(store, manifest);
    const isKept = (await store.manifests()).some((one) => one.version === version && one.epoch === epoch);
    if (!isKept) continue;
    if (blob !== null && (isOurs || !blob.isMissing)) problems.push(`${name}: ${blob.problem}`);
    if (recorded !== undefined && recorded.epoch === epoch && !isOurs)
      problems.push(`${name}: its manifest says ${sha256}, the run ${recorded.weightsHash}`);
    const parentHash = parent === null ? undefined : versions.get(parent.version)?.weightsHash;
    if (isOurs && parentHash !== undefined && parentHash !== parent!.sha256)
      problems.push(
        `${name}: its parent is version ${parent!.version} with ${parent!.sha256}, the run's is ${parentHash}`,
      );
  }
  const isThere = before.some((one) => one.sha256 === versions.get(run.version)?.weightsHash);
  const isSince = (await store.manifests()).some(({ version }) => version > run.version);
  if (versions.has(run.version) && !isThere && !isSince)
    problems.push(`version ${run.version}, which the run is at, is not there`);
  return { versions: before.length, problems };
}

/** The defect of a version's blob; null when it is as the manifest says. */
async function verifyBlob(
  store: WeightStore,
  manifest: WeightsManifest,
): Promise<{ problem: string; isMissing: boolean } | null> {
  const { sha256, sizeBytes, tensors } = manifest;
  try {
    const found = await inspectBlob(store.blobOf(manifest));
    const wrong = (problem: string): { problem: string; isMissing: boolean } => ({
      problem,
      isMissing: false,
    });
    if (found.sizeBytes !== sizeBytes) return wrong(`found ${found.sizeBytes} bytes, expected ${sizeBytes}`);
    if (found.sha256 !== sha256) return wrong(`found sha256 ${found.sha256}, expected ${sha256}`);
    if (!isDeepStrictEqual(found.tensors, tensors)) return wrong('its tensors are not those of its manifest');
    return null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      return { problem: 'its blob is gone', isMissing: true };
    if (error instanceof ForgeError) return { problem: error.message, isMissing: false };
    throw error;
  }
}
