import { join } from 'node:path';
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

/** `CXX`: a C++ compiler with its first arguments; null where it is unset. */
export function compilerCommand(): readonly string[] | null {
  const { CXX: compiler } = process.env;
  return compiler?.trim() ? compiler.trim().split(/\s+/) : null;
}

/** The environment of a process that tries an engine: TensorFlow says what it misses. */
export function probeEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, TF_CPP_MIN_LOG_LEVEL: '0' };
}
