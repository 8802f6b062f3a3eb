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

/** The admission of a group in what `pending` keeps: `<minVersion>[ <group it replays>][ q<position>]`. */
export function pendingAdmission(index: string, stored: string): Admission {
  const [minVersion = '', ...notes] = stored.split(' ');
  const position = notes.find((note) => note.startsWith('q'));
  const admission = admissionOf(index, minVersion, notes.find((note) => note !== position) ?? '');
  return position === undefined ? admission : { ...admission, position: Number(position.slice(1)) };
}
