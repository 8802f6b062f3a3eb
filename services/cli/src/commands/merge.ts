import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runPaths } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { isAdapter, loadModel, saveModel } from '@forge/model';
import { Checkpoints } from '@forge/rl-actors';
import { parametersHash } from '@forge/weights';

export interface MergeOptions {
  dir: string;
  /** The model that the adapter was trained beside, where it is not where it was. */
  model?: string;
  bf16?: boolean;
}

/** `forge merge RUN_OR_ADAPTER OUT`: writes the model that an adapter makes of its base. */
export async function merge(source: string, out: string, options: MergeOptions): Promise<number> {
  if (existsSync(out)) {
    const message = `${out} is there already; name a directory that is not`;
    throw new ForgeError('CONFIG_INVALID', message, { path: out });
  }
  const adapter = (await isAdapter(source)) ? source : await adapterOfRun(source, options.dir);
  const model = await loadModel(adapter, { base: options.model });
  await saveModel(out, model, { dtype: options.bf16 ? 'BF16' : 'F32' });
  process.stdout.write(
    `merged ${adapter} into ${out} (weights ${parametersHash(model.parameters).slice(0, 12)})\n`,
  );
  return 0;
}

/** The final adapter of a run, or that of its newest checkpoint as long as there is none. */
async function adapterOfRun(id: string, dir: string): Promise<string> {
  const directory = join(dir, id);
  if (!existsSync(directory)) {
    const message = `${id} is neither a directory with adapter_config.json nor a run in ${dir}; forge runs lists those there are`;
    throw new ForgeError('CONFIG_INVALID', message, { source: id, dir });
  }
  const { model } = runPaths(directory);
  if (await isAdapter(model)) return model;
  const checkpoints = new Checkpoints(directory);
  const { checkpoint } = existsSync(model) ? { checkpoint: null } : await checkpoints.newestGood();
  if (checkpoint?.base !== undefined) return checkpoints.path(checkpoint.step);
  const found = existsSync(model) ? `whole weights in ${model}` : 'no adapter so far';
  const message = `${directory}: found ${found}, expected an adapter: nothing to merge`;
  throw new ForgeError('CONFIG_INVALID', message, { source: id });
}
