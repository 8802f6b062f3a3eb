import { usesReference, type Recipe } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { memoryPlan, type RunModels, type ServicePlan } from './memory-plan';
import { rolloutPlan, type RolloutPlan } from './rollout-plan';

/** A change of the recipe, as an override, and the bytes of all services with it and those before it. */
export interface Advice {
  change: string;
  bytes: number;
}

const FEWEST_ROWS = 8;

/** Bytes of all processes of a run on one machine. */
export function totalBytes(plans: readonly ServicePlan[]): number {
  return plans.reduce((sum, { bytes, replicas }) => sum + bytes * replicas, 0);
}

/**
 * The changes that make a run fit into `availableBytes`, in the order to try them, each with those before it; ends at the
 * first that does. None where it fits as it is; all that save something where none helps.
 */
export function adviceFor(
  recipe: Recipe,
  models: RunModels,
  promptTokens: number,
  availableBytes: number,
): Advice[] {
  const bytesOf = (one: Recipe): number => totalBytes(memoryPlan(one, models, promptTokens));
  const advice: Advice[] = [];
  let [current, bytes] = [recipe, bytesOf(recipe)];
  for (const { change, of } of changes(recipe, rolloutPlan(recipe, models.config, promptTokens))) {
    if (bytes <= availableBytes) break;
    const changed = of(current);
    const next = bytesOf(changed);
    if (next >= bytes) continue;
    [current, bytes] = [changed, next];
    advice.push({ change, bytes });
  }
  return advice;
}

/** Changes from the cheapest to the dearest in time or result. */
function changes(
  recipe: Recipe,
  { turns, generatedTokens, contextTokens: longest }: RolloutPlan,
): { change: string; of: (recipe: Recipe) => Recipe }[] {
  const { trainer, policy, algorithm, sampling } = recipe;
  const isOnlyPenalty = 'klCoefficient' in algorithm && algorithm.name !== 'opd';
  const halves = (from: number, least: number): number[] => {
    const values: number[] = [];
    for (let value = Math.floor(from / 2); value >= least; value = Math.floor(value / 2)) values.push(value);
    return values;
  };
  const trainerWith = (key: 'recompute' | 'microBatchTokens', value: boolean | number) => ({
    change: `trainer.${key}=${value}`,
    of: (one: Recipe): Recipe => ({ ...one, trainer: { ...one.trainer, [key]: value } }),
  });
  const policyWith = (key: 'prefixCacheMb' | 'maxBatch' | 'weights', value: number | string) => ({
    change: `policy.${key}=${value}`,
    of: (one: Recipe): Recipe => ({ ...one, policy: { ...one.policy, [key]: value } }),
  });
  return [
    ...(trainer.recompute ? [] : [trainerWith('recompute', true)]),
    ...halves(trainer.microBatchTokens, Math.max(16, longest)).map((n) => trainerWith('microBatchTokens', n)),
    policyWith('prefixCacheMb', 0),
    ...halves(policy.maxBatch, FEWEST_ROWS).map((n) => policyWith('maxBatch', n)),
    ...(policy.weights === 'inputs' ? [] : [policyWith('weights', 'inputs')]),
    ...(usesReference(recipe) && isOnlyPenalty
      ? [
          {
            change: 'algorithm.klCoefficient=0',
            of: (one: Recipe): Recipe => ({ ...one, reference: { ...one.reference, replicas: 0 } }),
          },
        ]
      : []),
    ...(turns === 1 ? [] : halves(generatedTokens, sampling.maxTokens)).map((maxTokens) => ({
      change: `rollout.maxTokens=${maxTokens}`,
      of: (one: Recipe): Recipe => ({ ...one, rollout: { ...one.rollout, maxTokens } }),
    })),
  ];
}

/** The commands that refuse a run, and their way to begin all the same. */
const FORCED = {
  run: '--force starts it all the same',
  create: '--force makes it all the same, as for services on other machines',
  resume: '--force goes on all the same',
};

/**
 * Checks that a run fits into the memory that this machine, or the container it is in, has left. Rollouts of several turns may
 * end after one: only a run that is too large even then is refused.
 *
 * @throws {ForgeError} CAPACITY_MODEL_TOO_LARGE naming what takes most, and what to change.
 */
export function checkFits(
  given: Recipe,
  models: RunModels,
  promptTokens: number,
  availableBytes: number,
  command: keyof typeof FORCED = 'run',
): void {
  const recipe = { ...given, rollout: { ...given.rollout, maxTurns: 1 } };
  const plans = memoryPlan(recipe, models, promptTokens);
  const bytes = totalBytes(plans);
  if (bytes <= availableBytes) return;
  const [largest] = [...plans].sort((a, b) => b.bytes - a.bytes);
  const advice = command === 'resume' ? [] : adviceFor(recipe, models, promptTokens, availableBytes);
  const way =
    command === 'resume' ? 'end other programs, or lower the replicas' : wayOut(advice, availableBytes);
  throw new ForgeError(
    'CAPACITY_MODEL_TOO_LARGE',
    `the run takes about ${gibibytes(bytes)} of memory, ${gibibytes(largest!.bytes)} of it its ${largest!.service}, and this machine has ${gibibytes(availableBytes)} left; ${way}; forge plan shows the parts, ${FORCED[command]}`,
    { bytes, availableBytes, advice: advice.map(({ change }) => change) },
  );
}

function wayOut(advice: readonly Advice[], availableBytes: number): string {
  const last = advice.at(-1);
  if (last === undefined) return 'take a smaller model or a larger machine';
  const changed = `${shortest(advice).join(' ')} makes it ${gibibytes(last.bytes)}`;
  return last.bytes <= availableBytes
    ? changed
    : `${changed}, still too much: take a smaller model or a larger machine`;
}

/** The last change of each key. */
export function shortest(advice: readonly Advice[]): string[] {
  return [...new Map(advice.map(({ change }) => [change.split('=')[0], change])).values()];
}

export function gibibytes(bytes: number): string {
  return bytes < 2 ** 30 ? `${Math.ceil(bytes / 2 ** 20)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
