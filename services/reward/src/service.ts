import { serveEndpoints, thisProc } from '@forge/actors';
import { Reward, type ScoreItem } from '@forge/rl-actors';
import type { ServiceContext, ServiceInstance } from '@forge/service-kit';

/** Scores completions by the rewards of the recipe: endpoint `score`. */
export async function start({ recipe, http, logger }: ServiceContext): Promise<ServiceInstance> {
  const reward = await thisProc().spawn('reward', Reward, { rewards: recipe.rewards });
  serveEndpoints(http, {
    // Whether these are items is for the endpoint to check.
    score: async (items) => {
      const results = await reward.score.callOne(items as ScoreItem[]);
      for (const result of results) if ('error' in result) logger.error(result.error, 'reward failed');
      return results;
    },
  });
  // What is being scored when it ends is asked for again from another replica.
  return {
    ready: () => true,
    drain: () => Promise.resolve(),
    totals: async () => ({ ...(await reward.stats.callOne()) }),
  };
}
