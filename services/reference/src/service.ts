import { thisProc } from '@forge/actors';
import { usesReference } from '@forge/config';
import { loadModelTokenizer } from '@forge/model';
import { loadAlgorithm } from '@forge/recipe-parts';
import { ReferenceModel } from '@forge/rl-actors';
import type { ServiceContext, ServiceInstance } from '@forge/service-kit';

/** Log-probs under the frozen reference model. */
export async function start({ recipe, logger }: ServiceContext): Promise<ServiceInstance> {
  if (!usesReference(recipe)) {
    logger.info('the algorithm of this run needs no reference model');
    return { ready: () => true, drain: () => Promise.resolve() };
  }
  const { sampling, trainer } = recipe;
  const { referenceTop: top } = await loadAlgorithm(recipe);
  const { model = recipe.model, engine, device, threads, mathMode, maxBatchTokens } = recipe.reference;
  const reference = await thisProc().spawn('reference', ReferenceModel, {
    model,
    engine,
    device,
    threads,
    mathMode,
    maxBatchTokens,
    temperature: sampling.temperature || 1,
    logitsChunk: trainer.logitsChunk,
    // A teacher may know tokens that the policy has no embedding for.
    ...(top > 0 && { top, topBelow: (await loadModelTokenizer(recipe.model, recipe.date)).vocabSize }),
  });
  return {
    ready: () => true,
    actor: reference,
    drain: () => reference.stop({ drainMs: recipe.limits.drainSeconds * 500 }),
    totals: async () => ({ ...(await reference.stats.callOne()) }),
  };
}
