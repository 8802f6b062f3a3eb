import { ForgeError } from '@forge/errors';
import { z } from 'zod';

/** The ways to refuse a config.json, each naming file and field. */
export interface ConfigChecks {
  /** @throws {ForgeError} CONFIG_MODEL_UNSUPPORTED: the field asks for something we do not compute. */
  refuse(field: string, found: unknown, expected: string): never;
  /**
   * The result of `parse`, which reads the whole file or its field `parent`.
   *
   * @throws {ForgeError} CONFIG_INVALID where `parse` throws a ZodError.
   */
  checked<T>(parse: () => T, parent?: string): T;
}

/** The checks of the config.json at `file`. */
export function checksOf(file: string): ConfigChecks {
  return {
    refuse: (field, found, expected) => {
      const message = `${file}: ${field}: found ${JSON.stringify(found)}, expected ${expected}`;
      throw new ForgeError('CONFIG_MODEL_UNSUPPORTED', message, { file, field, found, expected });
    },
    checked: (parse, parent) => {
      try {
        return parse();
      } catch (error) {
        const issue = error instanceof z.ZodError ? error.issues[0] : undefined;
        if (issue === undefined) throw error;
        const field = [...(parent === undefined ? [] : [parent]), ...issue.path].join('.');
        throw new ForgeError('CONFIG_INVALID', `${file}: ${field}: ${issue.message}`, { file, field });
      }
    },
  };
}

export function oneOf(values: readonly string[]): string {
  return `one of ${values.map((value) => JSON.stringify(value)).join(', ')}`;
}
