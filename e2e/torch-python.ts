import { spawnSync } from 'node:child_process';

const PACKAGES = ['torch', 'transformers', 'safetensors', 'redis', 'msgpack'];
const python = process.env.FORGE_TORCH_PYTHON ?? 'python3';
const looks = `import importlib.util as u, sys; sys.exit(any(u.find_spec(n) is None for n in ${JSON.stringify(PACKAGES)}))`;

/** Whether a Python is there that has what the trainer in PyTorch needs. */
export const hasTorch = spawnSync(python, ['-c', looks]).status === 0;

/** Why tests of it are skipped. */
export const NO_TORCH = `${python} lacks one of ${PACKAGES.join(', ')} (FORGE_TORCH_PYTHON names another)`;
