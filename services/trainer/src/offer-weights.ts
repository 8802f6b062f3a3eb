import { join } from 'node:path';
import { runPaths } from '@forge/contracts';
import { WeightsOffer } from '@forge/rl-actors';
import type { ServiceContext } from '@forge/service-kit';

/** Gives hosts that do not see this one's disk whatever versions the run keeps; null where nobody else could ask. */
export async function offerWeights(context: ServiceContext): Promise<WeightsOffer | null> {
  const { recipe, runId, replica, runState, serve, isReachable, fail } = context;
  if (!isReachable) return null;
  const name = `trainer/${replica}`;
  const offer = await WeightsOffer.open({
    dir: runPaths(join(recipe.output.dir, runId)).weights,
    ...{ serve, onFailed: fail },
    tell: (offered) => runState.weightSources.offer(name, offered),
    withdraw: () => runState.weightSources.withdraw(name),
  });
  await offer.hold(null);
  return offer;
}
