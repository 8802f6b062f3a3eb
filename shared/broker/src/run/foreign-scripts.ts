import { announceWeights, beginGroup, commitStep, publishGroup, rejectGroup } from '../groups/group-scripts';
import type { Script } from '../redis/script';
import { keepLetter } from '../refused/dead-letters';
import { refuse } from '../refused/rejections';
import { refuseRollback } from '../streams/weight-versions';
import { removeReplica } from './registry';

/** Scripts by the names that parts in other languages call them by: part of the wire, as are their KEYS and ARGV. */
const SCRIPTS: Readonly<Record<string, Script>> = {
  beginGroup,
  publishGroup,
  rejectGroup,
  keepLetter,
  commitStep,
  announceWeights,
  refuseRollback,
  refuse,
  removeReplica,
};

/** Sources of the scripts that parts in other languages call, by name. */
export const FOREIGN_SCRIPTS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(SCRIPTS).map(([name, { source }]) => [name, source]),
);
