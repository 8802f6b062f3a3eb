import { unappliedSettings, type LoadedModel } from '@forge/model';

/** Tells on stderr which settings in the model's folder do not count here. */
export function showUnappliedSettings(model: Pick<LoadedModel, 'dir' | 'files'>): void {
  const unapplied = unappliedSettings(model);
  if (unapplied.length === 0) return;
  process.stderr.write(
    `forge: ${model.dir}/generation_config.json: not applied: ${unapplied.join(', ')}; tokens are drawn as the recipe's sampling or the command line says\n`,
  );
}
