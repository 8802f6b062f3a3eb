import { z } from 'zod';

/** The version of a message's schema; a message of another one is refused in words that say so. */
export function schemaVersion<N extends number>(version: N) {
  return z.literal(version, {
    error: ({ input }) =>
      typeof input === 'number'
        ? `found version ${input}, expected ${version}: another version of Forge wrote it; run the same version everywhere`
        : `expected ${version}`,
  });
}
