import { generationServer, type GenerationServer, type Recipe } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { messageOf } from '@forge/rl';

/**
 * Checks that a run can be trained on what its server generates; what is to be said about it, null: nothing.
 *
 * @throws {ForgeError} CONFIG_INVALID naming the field.
 */
export function checkServedPolicy(recipe: Recipe): string | null {
  const server = generationServer(recipe.policy.engine);
  if (server === null) return null;
  if (server.kind === 'openai') checkFixedWeights(recipe);
  else checkShared(recipe, server);
  const { temperature, topK, topP } = recipe.sampling;
  if (server.kind === 'vllm' && temperature > 0 && temperature !== 1 && (topK > 0 || topP < 1))
    throw refused(
      topK > 0 ? 'sampling.topK' : 'sampling.topP',
      topK > 0 ? topK : topP,
      `${topK > 0 ? 0 : 1} with vllm at temperature ${temperature}: it gives log-probs before both or behind both, and those behind temperature alone are trained on`,
    );
  return correctsRatio(recipe)
    ? null
    : 'policy.engine: a server finds other log-probs for the same weights than the trainer, in bfloat16 by some hundredths, and this algorithm has no correction for that: algorithm.correction.0.name=tis weighs by the ratio (docs/generators.md)';
}

/** Time of a server to say anything at all. */
const LOOK_MS = 5_000;

/**
 * Checks that the servers of a recipe are there; what they answer is for the policy to see.
 *
 * @throws {ForgeError} TRANSIENT_GENERATOR_UNREACHABLE naming the one that does not answer.
 */
export async function requireServers({ policy }: Recipe): Promise<void> {
  const server = generationServer(policy.engine);
  if (server === null) return;
  for (const url of [server.url].flat()) {
    try {
      const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(LOOK_MS) });
      await response.body?.cancel();
    } catch (error) {
      const { cause = error } = error as Error;
      const why = messageOf(cause);
      const message = `policy.engine.${server.kind}.url: ${url} does not answer (${why}); start the server first, or correct its address`;
      throw new ForgeError('TRANSIENT_GENERATOR_UNREACHABLE', message, { url, why });
    }
  }
}

/** Two replicas that put whole weights at one server would each generate with the other's. */
function checkShared({ policy, adapter }: Recipe, { kind, url }: GenerationServer): void {
  const servers = typeof url === 'string' ? 1 : url.length;
  if (adapter !== undefined || policy.replicas <= servers) return;
  throw refused(
    'policy.replicas',
    policy.replicas,
    `at most ${servers}, as many as there are servers: each puts its weights there; name more in policy.engine.${kind}.url, or train an adapter`,
  );
}

/** Tokens of a server that takes no weights are of version 0 for good. */
function checkFixedWeights({ maxStaleness, evaluation, adapter, trainer, stopAtAccuracy }: Recipe): void {
  if (maxStaleness !== Infinity)
    throw refused(
      'policy.engine',
      'openai',
      'vllm or sglang, which take the weights that are trained; forge eval evaluates what an openai server has, and with maxStaleness=.inf a run is distilled from it',
    );
  if (evaluation.everySteps > 0)
    throw refused(
      'evaluation.everySteps',
      evaluation.everySteps,
      '0 with openai, whose server would be evaluated and not what is trained; forge eval evaluates that',
    );
  if (stopAtAccuracy !== undefined)
    throw refused('stopAtAccuracy', stopAtAccuracy, 'none with openai, without evaluations');
  if (adapter !== undefined)
    throw refused('adapter', '{...}', 'none with openai, whose weights are not those an adapter begins with');
  if (trainer.publishDtype !== 'F32')
    throw refused('trainer.publishDtype', trainer.publishDtype, 'F32 with openai');
}

/** Whether the loss weighs by old / behaviour, or leaves out what is too far from it. */
function correctsRatio({ algorithm }: Recipe): boolean {
  if (algorithm.name === 'module' || algorithm.name === 'decoupled-ppo') return true;
  const { correction } = algorithm;
  const isTruncated = 'truncatedImportanceSampling' in algorithm && !!algorithm.truncatedImportanceSampling;
  return correction.length > 0 || isTruncated;
}

function refused(field: string, found: unknown, expected: string): ForgeError {
  return new ForgeError('CONFIG_INVALID', `${field}: found ${String(found)}, expected ${expected}`, {
    field,
  });
}
