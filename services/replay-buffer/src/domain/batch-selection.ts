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
 * The first `candidatesPerBatch` fresh groups, oldest version first, compete; the informative ones among them
 * come first, and the batch lists its groups by index. With `maxStaleness` 0 only the groups of this very step
 * are buffered, so the batch does not depend on the order in which they arrived.
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
  const byPreference = [
    ...candidates.filter(({ informative }) => informative),
    ...candidates.filter(({ informative }) => !informative).sort(byIndex),
  ];
  return {
    stale,
    batch: {
      selected: byPreference.slice(0, rules.groups).sort(byIndex),
      notSelected: byPreference.slice(rules.groups).sort(byIndex),
    },
  };
}

function byIndex(a: Candidate, b: Candidate): number {
  return a.index - b.index;
}
