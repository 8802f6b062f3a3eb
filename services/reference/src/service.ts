import { serveEndpoints, thisProc } from '@forge/actors';
import { check } from '@forge/contracts';
import { ReferenceModel } from '@forge/rl-actors';
import type { ServiceContext, ServiceInstance } from '@forge/service-kit';
import { z } from 'zod';

type Sequences = readonly (readonly number[])[];

const groupsSchema = z.array(z.custom<Sequences>(Array.isArray)).max(4096);

/**
 * Log-probs under the frozen reference model: `logprobs` takes groups of token sequences and gives one array for each
 * sequence. A group is scored by itself: what else is asked for at the moment would change the last bits.
 */
export async function start({ recipe, http }: ServiceContext): Promise<ServiceInstance> {
  const { model, sampling, trainer } = recipe;
  const { threads, maxBatchTokens } = recipe.reference;
  const reference = await thisProc().spawn('reference', ReferenceModel, {
    model,
    threads,
    maxBatchTokens,
    temperature: sampling.temperature || 1,
    logitsChunk: trainer.logitsChunk,
  });
  serveEndpoints(http, {
    logprobs: (groups) =>
      Promise.all(
        check(groupsSchema, groups, 'logprobs request').map((group) => reference.logprobs.callOne(group)),
      ),
  });
  return {
    ready: () => true,
    drain: () => reference.stop({ drainMs: 0 }),
    totals: async () => ({ ...(await reference.stats.callOne()) }),
  };
}
