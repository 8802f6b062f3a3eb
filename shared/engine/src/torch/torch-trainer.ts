import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { torchEnvironment, torchPython } from '@forge/config';
import { ForgeError } from '@forge/errors';

/** Directory of the Python package of the trainer in PyTorch. */
export const TORCH_PACKAGE = join(__dirname, '..', '..', '..', '..', 'integrations', 'torch-trainer', 'src');

/** Exit code of its `check` for a recipe that it can't train. */
const REFUSED = 2;

/**
 * Checks that this machine's Python has the trainer in PyTorch, and that it can train a resolved recipe.
 *
 * @throws {ForgeError} ENGINE_NOT_INSTALLED saying what is missing; CONFIG_INVALID naming a field that it does not take.
 */
export function requireTorch(recipe: object): void {
  const python = torchPython();
  const { status, stderr, error } = spawnSync(python, ['-m', 'forge_torch', 'check'], {
    env: torchEnvironment(TORCH_PACKAGE),
    input: JSON.stringify(recipe),
    encoding: 'utf8',
  });
  if (status === 0) return;
  const said = error?.message ?? stderr.trim().split('\n').at(-1) ?? '';
  if (status === REFUSED) throw new ForgeError('CONFIG_INVALID', said, { field: said.split(':')[0] });
  const way =
    'install what docs/torch.md names (pip install -r integrations/torch-trainer/requirements.lock), and let FORGE_TORCH_PYTHON name that interpreter; or set trainer.engine to auto';
  const message = `trainer.engine: found torch; ${python}: ${said}; ${way}`;
  throw new ForgeError('ENGINE_NOT_INSTALLED', message, { engine: 'torch', python });
}
