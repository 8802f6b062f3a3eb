/** Place of a group. `published` counts as in flight in the ledger. */
export type GroupState = 'inFlight' | 'published' | 'buffered' | 'leased' | 'trained' | 'discarded';

/** Replica that generated a group, and the versions it did so with. */
export interface GroupOrigin {
  replica: string;
  /** Versions of its oldest and its newest token. */
  oldest: number;
  newest: number;
}

/** Record that Redis keeps of a group from its admission on, until it is forgotten. */
export interface GroupRecord {
  index: number;
  state: GroupState;
  /** No token of the group may come from an older policy. */
  minVersion: number;
  /** The group whose sample it rolls out again, after that failed. */
  replayOf: number | null;
  /** The position of its sample in the task's order, where a curriculum drew it. */
  position: number | null;
  /** Known once it is published. */
  origin: GroupOrigin | null;
  /** The step whose batch it went into, or was not selected for. */
  step: number | null;
  /** Reason why it was discarded. */
  reason: string | null;
}

const STATES: Readonly<Record<string, GroupState>> = {
  f: 'inFlight',
  p: 'published',
  b: 'buffered',
  l: 'leased',
  t: 'trained',
  d: 'discarded',
};
const RECORD =
  /^(?<state>[fpbltd]) m(?<min>\d+)(?: o(?<replayOf>\d+))?(?: q(?<position>\d+))?(?: r(?<replica>\S+) v(?<oldest>\d+)-(?<newest>\d+))?(?: s(?<step>\d+))?(?: x(?<reason>\S+))?$/;

/** The record in `text`, as the scripts write it; null for anything else. */
export function parseGroupRecord(index: number, text: string): GroupRecord | null {
  const fields = RECORD.exec(text)?.groups as Record<string, string | undefined> | undefined;
  if (fields === undefined) return null;
  const { state, min, replayOf, position, replica, oldest, newest, step, reason } = fields;
  return {
    index,
    state: STATES[state!]!,
    minVersion: Number(min),
    replayOf: replayOf === undefined ? null : Number(replayOf),
    position: position === undefined ? null : Number(position),
    origin: replica === undefined ? null : { replica, oldest: Number(oldest), newest: Number(newest) },
    step: step === undefined ? null : Number(step),
    reason: reason ?? null,
  };
}

/** Note that publishing adds to the record of a group. */
export function originNote({ replica, oldest, newest }: GroupOrigin): string {
  return ` r${replica.replaceAll(/\s/g, '_')} v${oldest}-${newest}`;
}
