import type { Candidate } from './candidate';

export interface SelectionRules {
  /** Groups a batch trains on. */
  groups: number;
  /** Groups rolled per batch, `groups` or more: the rest gives room to prefer informative ones. */
  candidatesPerBatch: number;
  /** Policy versions a token may be behind when it is trained; `Infinity` for no bound. */
  maxStaleness: number;
}

export interface Selection {
  /** Too old for this step and every later one. */
  stale: Candidate[];
  /** Null while fewer than `candidatesPerBatch` candidates are fresh. */
  batch: { selected: Candidate[]; notSelected: Candidate[] } | null;
}

/**
 * The batch of `step` out of the buffered groups.
 *
 * The first `candidatesPerBatch` fresh groups, oldest version first, compete. Where more are rolled than trained
 * (dynamic sampling), the batch is made of informative ones only, be they fewer than `groups`: the others have no
 * gradient and would cost time; it takes any group only when no group is informative. The batch lists its groups by
 * index. With `maxStaleness` 0 only the groups of this very step are buffered, so the batch does not depend on the
 * order in which they arrived.
 *
 * Units: lag = step - version, in policy versions.
 * @see https://arxiv.org/abs/2503.14476 section 3.2, dynamic sampling (here the candidates rolled are bounded)
 */
export function selectBatch(step: number, buffered: readonly Candidate[], rules: SelectionRules): Selection {
  const stale = buffered.filter(({ version }) => step - version > rules.maxStaleness);
  const fresh = buffered
    .filter(({ version }) => step - version <= rules.maxStaleness)
    .sort((a, b) => a.version - b.version || a.index - b.index);
  if (fresh.length < rules.candidatesPerBatch) return { stale, batch: null };

  const candidates = fresh.slice(0, rules.candidatesPerBatch);
  const informative = candidates.filter(({ informative: isInformative }) => isInformative);
  const isDynamic = rules.candidatesPerBatch > rules.groups && informative.length > 0;
  const chosen = new Set((isDynamic ? informative : [...candidates].sort(byIndex)).slice(0, rules.groups));
  return {
    stale,
    batch: {
      selected: [...chosen].sort(byIndex),
      notSelected: candidates.filter((candidate) => !chosen.has(candidate)).sort(byIndex),
    },
  };
}

function byIndex(a: Candidate, b: Candidate): number {
  return a.index - b.index;
}
