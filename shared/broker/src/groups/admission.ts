export interface Admission {
  index: number;
  /** No token of the group may come from an older policy. */
  minVersion: number;
  /** The group whose sample it rolls out again; its own where that is left out. */
  replayOf?: number;
  /** The position of its sample in the task's order, where a curriculum drew it; else the index says it. */
  position?: number;
}

/** The admission in the fields that Redis keeps; `replayed` is empty where it replays no group. */
export function admissionOf(
  index: number | string,
  minVersion: number | string,
  replayed: string,
): Admission {
  const admission = { index: Number(index), minVersion: Number(minVersion) };
  return replayed === '' ? admission : { ...admission, replayOf: Number(replayed) };
}

/**
 * The admission of a group in what `pending` keeps: `<minVersion>[ <group it replays>][ q<position>]`, and ` b<version>` once
 * it is begun.
 */
export function pendingAdmission(index: string, stored: string): Admission {
  const [minVersion = '', ...notes] = stored.split(' ');
  const position = noteOf(notes, 'q');
  const admission = admissionOf(index, minVersion, notes.find((note) => /^\d/.test(note)) ?? '');
  return position === null ? admission : { ...admission, position };
}

/** The version of the oldest token of a group in flight, by what `pending` keeps of it; null before it is begun. */
export function pendingVersion(stored: string): number | null {
  return noteOf(stored.split(' '), 'b');
}

function noteOf(notes: readonly string[], letter: string): number | null {
  const found = notes.find((note) => note.startsWith(letter));
  return found === undefined ? null : Number(found.slice(1));
}
