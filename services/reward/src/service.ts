import { thisProc } from '@forge/actors';
import { Reward } from '@forge/rl-actors';
import type { ServiceContext, ServiceInstance } from '@forge/service-kit';

/** Scores completions by the rewards of the recipe. */
export async function start({ recipe }: ServiceContext): Promise<ServiceInstance> {
  const { rewards, date } = recipe;
  const { timeoutMs } = recipe.reward;
  const reward = await thisProc().spawn('reward', Reward, { rewards, timeoutMs, ...(date && { date }) });
  return {
    ready: () => true,
    actor: reward,
    // Another replica is asked again for items still being scored when the time is over.
    drain: () => reward.stop({ drainMs: recipe.limits.drainSeconds * 500 }),
    totals: async () => ({ ...(await reward.stats.callOne()) }),
  };
}
