export interface Admission {
  index: number;
  /** No token of the group may come from an older policy. */
  minVersion: number;
  /** The group whose sample it rolls out again; its own where that is left out. */
  replayOf?: number;
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
