import { delimiter, join } from 'node:path';
import { userCache } from './user-directories';

/** Where engines lie that no package of npm brings. */
export interface EnginesEnvironment {
  /** Directory of the engines that `forge engine install` has put there. */
  directory: string;
  /** Directory of a libtensorflow of the user's own; null: the installed one. */
  libtensorflow: string | null;
}

/** By `XDG_CACHE_HOME` and `FORGE_LIBTENSORFLOW`. */
export function enginesEnvironment(): EnginesEnvironment {
  const { FORGE_LIBTENSORFLOW: libtensorflow } = process.env;
  return {
    directory: join(userCache(), 'forge', 'engines'),
    libtensorflow: libtensorflow || null,
  };
}

/** `FORGE_TORCH_PYTHON`: an interpreter that has PyTorch, and what else its trainer needs; `python3` where it is unset. */
export function torchPython(): string {
  return process.env.FORGE_TORCH_PYTHON || 'python3';
}

/** The environment of the trainer in PyTorch: that of this process, its own package, and the Redis of its run. */
export function torchEnvironment(packageDirectory: string, redisUrl?: string): NodeJS.ProcessEnv {
  const { PYTHONPATH: path } = process.env;
  return {
    ...process.env,
    PYTHONPATH: [packageDirectory, path].filter(Boolean).join(delimiter),
    ...(redisUrl !== undefined && { REDIS_URL: redisUrl }),
  };
}

/** `CXX`: a C++ compiler with its first arguments; null where it is unset. */
export function compilerCommand(): readonly string[] | null {
  const { CXX: compiler } = process.env;
  return compiler?.trim() ? compiler.trim().split(/\s+/) : null;
}

/** The environment of a process that tries an engine: TensorFlow says what it misses. */
export function probeEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, TF_CPP_MIN_LOG_LEVEL: '0' };
}
