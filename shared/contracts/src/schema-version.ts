import { z } from 'zod';

/**
 * Versions of the messages that this release writes. One that only adds fields that may be left out, and that a reader
 * may pass over, is one higher; any other change skips a number.
 */
export const SCHEMA_VERSION = {
  rolloutJob: 1,
  group: 3,
  batch: 4,
  weightsAnnouncement: 1,
  weightsManifest: 1,
  deadLetter: 1,
} as const;

export type VersionedMessage = keyof typeof SCHEMA_VERSION;

/** Whether messages of a version are read by the release that writes another, and the reverse. */
function areNeighbours(one: number, other: number): boolean {
  return Math.abs(one - other) <= 1;
}

/** Messages that another release, which writes `versions`, and this one do not read of each other; unknown ones are passed over. */
export function distantMessages(versions: unknown): { name: string; theirs: number; own: number }[] {
  const written = z.record(z.string(), z.number()).safeParse(versions).data ?? {};
  return Object.entries(SCHEMA_VERSION).flatMap(([name, own]) => {
    const theirs = written[name];
    return theirs === undefined || areNeighbours(theirs, own) ? [] : [{ name, theirs, own }];
  });
}

/**
 * The version of a message: that of this release, and those beside it, which releases before and after it write. What is
 * read counts as a message of this release.
 */
export function messageVersion<Name extends VersionedMessage>(name: Name) {
  const own: (typeof SCHEMA_VERSION)[Name] = SCHEMA_VERSION[name];
  const [oldest, newest] = [Math.max(1, own - 1), own + 1];
  const isRead = (found: unknown): boolean =>
    Number.isInteger(found) && (found as number) > 0 && areNeighbours(found as number, own);
  return z
    .custom<typeof own>(isRead, {
      error: ({ input }) =>
        typeof input === 'number'
          ? `found version ${input}, expected ${oldest} to ${newest}: a version of Forge wrote it that does not run beside this one; run the same version everywhere`
          : `expected ${own}`,
    })
    .overwrite(() => own)
    .meta({ const: own });
}

/** The version that messages of a schema have by `messageVersion`; undefined where they have none. */
export function versionIn(schema: z.core.$ZodType): unknown {
  if (schema instanceof z.ZodDiscriminatedUnion) return versionIn(schema.options[0]!);
  const field: unknown = schema instanceof z.ZodObject ? schema.shape['schemaVersion'] : undefined;
  return field instanceof z.ZodType ? field.meta()?.['const'] : undefined;
}

/** The version of a file that outlives its release; one of another version is refused in words that say so. */
export function schemaVersion<N extends number>(version: N) {
  return z.literal(version, {
    error: ({ input }) =>
      typeof input === 'number'
        ? `found version ${input}, expected ${version}: another version of Forge wrote it; run the same version everywhere`
        : `expected ${version}`,
  });
}
