import { usesCritic, type Recipe } from '@forge/config';
import { valueParameterCount, type ModelConfig } from '@forge/model';
import { trainedCount, type Parts } from './memory-plan';

const VALUE_BYTES = { F32: 4, F16: 2, BF16: 2 } as const;
/** Bytes of both moments of a parameter. */
const MOMENTS_BYTES = 8;
/** Bytes of a recorded token: id, mask, log-prob, version, log-prob under the reference. */
const RECORDED_TOKEN_BYTES = 17;

/** Bytes on the disk that a run takes at most, by what takes them; one version or checkpoint more while it is written. */
export function diskPlan(recipe: Recipe, config: ModelConfig, tokensPerStep: number): Parts {
  const { trainer, output, steps, limits } = recipe;
  const parameters = trainedCount(recipe, config);
  const isRounded = trainer.publishDtype !== 'F32';
  const state = MOMENTS_BYTES + (isRounded ? VALUE_BYTES.F32 : 0);
  const critic = usesCritic(recipe) ? valueParameterCount(config) * (VALUE_BYTES.F32 + MOMENTS_BYTES) : 0;
  const version = parameters * (VALUE_BYTES[trainer.publishDtype] + state) + critic;
  const checkpoints = Math.min(trainer.keepCheckpoints, Math.ceil(steps / trainer.checkpointEverySteps));
  return {
    'weight versions': (Math.min(trainer.keepVersions, steps + 1) + 1) * version,
    checkpoints: (checkpoints + 1) * (parameters * (VALUE_BYTES.F32 + MOMENTS_BYTES) + critic),
    'final model': parameters * VALUE_BYTES[trainer.dtype],
    record: output.record ? steps * tokensPerStep * RECORDED_TOKEN_BYTES : 0,
    spans: limits.spansFileMiB * 2 ** 20,
  };
}
