import { join } from 'node:path';
import { streamFrom } from '@forge/actors';
import { runPaths } from '@forge/contracts';
import { HostWeights, WeightsOffer } from '@forge/rl-actors';
import type { ServiceContext } from '@forge/service-kit';

/** The announced weights on this host; what it had to fetch it gives to others, where they reach it. */
export async function hostWeights(
  context: ServiceContext,
): Promise<{ weights: HostWeights; close: () => Promise<void> }> {
  const { recipe, runId, runState, registry, replica, logger, serve, isReachable, fail } = context;
  const name = `policy/${replica}`;
  const dir = runPaths(join(recipe.output.dir, runId)).fetchedWeights;
  const offer = isReachable
    ? await WeightsOffer.open({
        ...{ dir, serve, onFailed: fail },
        tell: (offered) => runState.weightSources.offer(name, offered),
        withdraw: () => runState.weightSources.withdraw(name),
      })
    : null;
  const weights = new HostWeights({
    dir,
    holders: async (sha256) => {
      const all = await runState.weightSources.holdersOf(sha256);
      const others = all.filter((holder) => holder.name !== name);
      return others.map(({ name: holder, ...at }) => ({
        name: holder,
        read: (hash, offset) => streamFrom(at, 'read', [hash, offset]),
      }));
    },
    inUse: async () => {
      const policies = await registry.list('policy');
      return runState.weights.hashesInUse(new Set(policies.map((one) => `policy/${one.replica}`)));
    },
    onHeld: async (hashes) => offer?.hold(hashes),
    say: (message) => {
      logger.info(message);
    },
  });
  await weights.begin();
  return { weights, close: async () => offer?.close() };
}
