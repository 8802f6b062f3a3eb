import { serveEndpoints } from '@forge/actors';
import { loadRewards, type ServiceContext, type ServiceInstance } from '@forge/service-kit';
import { score } from './handlers/score';

/** Scores completions by the rewards of the recipe: endpoint `score`. */
export async function start({ recipe, http, logger }: ServiceContext): Promise<ServiceInstance> {
  const rewards = await loadRewards(recipe);
  let busyMs = 0;
  serveEndpoints(http, {
    score: async (request) => {
      const startedAt = performance.now();
      const results = await score(rewards, request, logger);
      busyMs += performance.now() - startedAt;
      return results;
    },
  });
  // What is being scored when it ends is asked for again from another replica.
  return { ready: () => true, drain: () => Promise.resolve(), totals: () => ({ busyMs }) };
}
