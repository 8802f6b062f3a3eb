import { thisProc } from '@forge/actors';
import { ReferenceModel } from '@forge/rl-actors';
import type { ServiceContext, ServiceInstance } from '@forge/service-kit';

/** Log-probs under the frozen reference model. */
export async function start({ recipe }: ServiceContext): Promise<ServiceInstance> {
  const { model, sampling, trainer } = recipe;
  const { threads, maxBatchTokens } = recipe.reference;
  const reference = await thisProc().spawn('reference', ReferenceModel, {
    model,
    threads,
    maxBatchTokens,
    temperature: sampling.temperature || 1,
    logitsChunk: trainer.logitsChunk,
  });
  return {
    ready: () => true,
    actor: reference,
    drain: () => reference.stop({ drainMs: recipe.limits.drainSeconds * 500 }),
    totals: async () => ({ ...(await reference.stats.callOne()) }),
  };
}
