import type { Candidate } from './candidate';

export interface SelectionRules {
  /** Groups a batch trains on. */
  groups: number;
  /** Groups rolled per batch, `groups` or more: the rest gives room to prefer informative ones. */
  candidatesPerBatch: number;
  /** Groups drawn anew for a batch at most, in place of candidates with nothing to teach; left out: none. */
  refill?: number;
  /** Groups that were drawn anew for this batch so far. */
  refilled?: number;
  /** Policy versions a token may be behind when it is trained; `Infinity` for no bound. */
  maxStaleness: number;
}

export interface Selection {
  /** Too old for this step and every later one. */
  stale: Candidate[];
  /** Candidates with nothing to teach, to be replaced before there is a batch. */
  refill: Candidate[];
  /** Null while fewer than `candidatesPerBatch` candidates are fresh, or some are to be replaced. */
  batch: { selected: Candidate[]; notSelected: Candidate[] } | null;
}

/**
 * The batch of `step` out of the buffered groups.
 *
 * The first `candidatesPerBatch` fresh groups, oldest version first, compete. Where fewer than `groups` of them are informative
 * and more may be drawn, some of the others are replaced, the oldest first: as many as the batch lacks, times what is rolled
 * for each group. Where more are rolled than trained, or groups are replaced (dynamic sampling), the batch is made of informative ones only, be they fewer than `groups`: the others have no
 * gradient and would cost time; it takes any group only when no group is informative. The batch lists its groups by
 * index. With `maxStaleness` 0 only the groups of this very step are buffered, so the batch does not depend on the
 * order in which they arrived.
 *
 * Units: lag = step - version, in policy versions.
 * @see https://arxiv.org/abs/2503.14476 section 3.2, dynamic sampling (here what is drawn anew is bounded)
 */
export function selectBatch(step: number, buffered: readonly Candidate[], rules: SelectionRules): Selection {
  const stale = buffered.filter(({ version }) => step - version > rules.maxStaleness);
  const fresh = buffered
    .filter(({ version }) => step - version <= rules.maxStaleness)
    .sort((a, b) => a.version - b.version || a.index - b.index);
  const { groups, candidatesPerBatch, refill: mostRefilled = 0, refilled = 0 } = rules;
  if (fresh.length < candidatesPerBatch) return { stale, refill: [], batch: null };

  const candidates = fresh.slice(0, candidatesPerBatch);
  const informative = candidates.filter(({ informative: isInformative }) => isInformative);
  const lacking = Math.max(0, groups - informative.length);
  const wanted = Math.min(Math.ceil((lacking * candidatesPerBatch) / groups), mostRefilled - refilled);
  const refill = candidates.filter((candidate) => !candidate.informative).slice(0, Math.max(0, wanted));
  if (refill.length > 0) return { stale, refill, batch: null };
  const isDynamic = (candidatesPerBatch > groups || mostRefilled > 0) && informative.length > 0;
  const chosen = new Set((isDynamic ? informative : [...candidates].sort(byIndex)).slice(0, groups));
  return {
    stale,
    refill,
    batch: {
      selected: [...chosen].sort(byIndex),
      notSelected: candidates.filter((candidate) => !chosen.has(candidate)).sort(byIndex),
    },
  };
}

function byIndex(a: Candidate, b: Candidate): number {
  return a.index - b.index;
}
