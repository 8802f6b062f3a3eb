import type { GroupRecord, GroupState } from './group-record';
import type { Lease, LedgerSnapshot } from './ledger-snapshot';

/**
 * Counts everything again from what is there, and compares: every record with the place its group should be in and with
 * no other, every batch with its groups, every count with its sum, the lag of every group in a batch with the bound.
 * Each disagreement in words; none when the ledger is right.
 */
export function verifyLedger(snapshot: LedgerSnapshot): string[] {
  return [
    ...snapshot.unreadable,
    ...verifyCounts(snapshot),
    ...verifyRecords(snapshot),
    ...verifyPlaces(snapshot),
    ...verifyLeases(snapshot),
    ...verifyVersions(snapshot),
    ...verifyLag(snapshot),
  ];
}

const MANY = 10;
/** Reasons to discard what a batch consumed: its admission does not return. */
const CONSUMED = ['not-selected', 'rolled-back'];

/** Names of groups, shortened when there are many. */
function named(indices: readonly number[]): string {
  const shown = indices.slice(0, MANY).join(', ');
  const noun = indices.length === 1 ? 'group' : 'groups';
  return `${noun} ${shown}${indices.length > MANY ? ` and ${indices.length - MANY} more` : ''}`;
}

function when(indices: readonly number[], what: string): string[] {
  return indices.length === 0 ? [] : [`${named(indices)}: ${what}`];
}

function differing(what: string, found: number, expected: number, of: string): string[] {
  return found === expected ? [] : [`${what} is ${found}, but ${of} is ${expected}`];
}

function inState({ groups }: LedgerSnapshot, ...states: GroupState[]): GroupRecord[] {
  return [...groups.values()].filter(({ state }) => states.includes(state));
}

const indicesOf = (records: readonly { index: number }[]): number[] => records.map(({ index }) => index);

function verifyCounts(snapshot: LedgerSnapshot): string[] {
  const { ledger, forgotten, run } = snapshot;
  const count = (...states: GroupState[]): number => inState(snapshot, ...states).length;
  const discarded = new Map(Object.entries(forgotten.discarded));
  for (const { reason } of inState(snapshot, 'discarded')) {
    const name = reason ?? 'no reason';
    discarded.set(name, (discarded.get(name) ?? 0) + 1);
  }
  const reasons = [...new Set([...discarded.keys(), ...Object.keys(ledger.discarded)])];
  const returned = [...discarded].reduce((sum, [why, n]) => sum + (CONSUMED.includes(why) ? 0 : n), 0);
  const of = 'the count of their records';
  return [
    ...differing('ledger: admitted', ledger.admitted, run.nextIndex, 'the number of indices given'),
    ...differing('ledger: inFlight', ledger.inFlight, count('inFlight', 'published'), of),
    ...differing('ledger: buffered', ledger.buffered, count('buffered'), of),
    ...differing('ledger: leased', ledger.leased, count('leased'), of),
    ...differing('ledger: trained', ledger.trained, count('trained') + forgotten.trained, of),
    ...reasons.flatMap((reason) =>
      differing(`ledger: discarded:${reason}`, ledger.discarded[reason] ?? 0, discarded.get(reason) ?? 0, of),
    ),
    ...(ledger.isBalanced ? [] : ['ledger: admitted is not the sum of the others']),
    ...differing('started', run.started, run.nextIndex - returned, 'admitted without what returned'),
  ];
}

function verifyRecords({ run, groups }: LedgerSnapshot): string[] {
  const missing = [];
  for (let index = run.firstKept; index < run.nextIndex; index++) if (!groups.has(index)) missing.push(index);
  const foreign = [...groups.keys()].filter((index) => index < run.firstKept || index >= run.nextIndex);
  return [...when(missing, 'admitted, but no record'), ...when(foreign, 'a record, but never admitted')];
}

/** Every group is in the place that its state says, and in no other. */
function verifyPlaces(snapshot: LedgerSnapshot): string[] {
  const { pending, streamed, buffer, payloads, leases } = snapshot;
  const indices = streamed.flatMap(({ index }) => (index === null ? [] : [index]));
  const leased = leases.flatMap(({ indices }) => indices);
  return [
    ...samePlace(snapshot, 'pending', pending, ['inFlight']),
    ...samePlace(snapshot, 'the groups stream', indices, ['published']),
    ...samePlace(snapshot, 'the buffer', [...buffer.keys()], ['buffered']),
    ...samePlace(snapshot, 'the leases', leased, ['leased']),
    ...samePlace(snapshot, 'payloads', payloads, ['buffered', 'leased']),
  ];
}

function samePlace(
  snapshot: LedgerSnapshot,
  place: string,
  found: readonly number[],
  states: GroupState[],
): string[] {
  const expected = new Set(indicesOf(inState(snapshot, ...states)));
  const there = new Set(found);
  const twice = found.filter((index, i) => found.indexOf(index) !== i);
  const state = states.join(' or ');
  return [
    ...when(
      [...expected].filter((index) => !there.has(index)),
      `${state}, but not in ${place}`,
    ),
    ...[...there]
      .filter((index) => !expected.has(index))
      .map((index) => `group ${index}: in ${place}, but ${snapshot.groups.get(index)?.state ?? 'unknown'}`),
    ...when([...new Set(twice)], `twice in ${place}`),
  ];
}

/** Batches that are formed and not committed: one for each step from version to nextBatch, the same in both places. */
function verifyLeases({ run, leases, batches, groups }: LedgerSnapshot): string[] {
  const problems: string[] = [];
  const expected = Math.max(0, run.nextBatch - run.version);
  for (let step = run.version; step < run.nextBatch; step++) {
    if (!leases.some((lease) => lease.step === step)) problems.push(`step ${step}: formed, but no lease`);
  }
  for (const { step, entry, indices } of leases) {
    if (step < run.version || step >= run.nextBatch) {
      problems.push(`step ${step}: leased, but the batches due are ${run.version} to ${run.nextBatch - 1}`);
    }
    const batch = batches.find((candidate) => candidate.entry === entry);
    if (batch === undefined) problems.push(`step ${step}: leased, but its batch is not in the stream`);
    else if (batch.step !== step || !isSame(batch.indices, indices))
      problems.push(`step ${step}: its batch in the stream has other groups or another step`);
    problems.push(
      ...when(wrongStep(indices, step, groups), `in the lease of step ${step}, but not in their records`),
    );
  }
  if (batches.length !== expected)
    problems.push(`${batches.length} batches in the stream, but ${expected} are formed and not committed`);
  return problems;
}

/** Every group that was trained, or rolled back, went into exactly one batch, and there were as many steps as there are versions. */
function verifyVersions(snapshot: LedgerSnapshot): string[] {
  const { run, versions, groups, newestWeights } = snapshot;
  const problems: string[] = [];
  const trainedBy = new Map<number, number>();
  for (let version = run.firstKeptVersion; version <= run.version; version++) {
    const { batch, rolledBackTo = null } = versions.get(version) ?? {};
    if (batch === undefined || batch === null) {
      problems.push(`version ${version}: no record of what it was made of`);
      continue;
    }
    const step = version - 1;
    for (const index of batch.indices) {
      const other = trainedBy.get(index);
      if (other !== undefined) problems.push(`group ${index}: trained at step ${other} and at step ${step}`);
      trainedBy.set(index, step);
    }
    const kept = batch.indices.filter((index) => index >= run.firstKept);
    const isTrained = rolledBackTo === null;
    const wrong = kept.filter((index) => {
      const { state, reason } = groups.get(index) ?? {};
      return isTrained ? state !== 'trained' : state !== 'discarded' || reason !== 'rolled-back';
    });
    const done = isTrained ? 'trained' : 'rolled back';
    problems.push(
      ...when(wrong, `in the batch of step ${step}, which is committed, but not ${done}`),
      ...when(wrongStep(kept, step, groups), `${done} at step ${step}, but not in their records`),
    );
  }
  const orphans = inState(snapshot, 'trained', 'discarded').filter(
    ({ index, step }) => trainedBy.get(index) !== step,
  );
  const trained = orphans.filter(({ state }) => state === 'trained');
  const rolledBack = orphans.filter(({ reason }) => reason === 'rolled-back');
  problems.push(...when(indicesOf(trained), 'trained, but in no batch that was committed'));
  problems.push(...when(indicesOf(rolledBack), 'rolled back, but in no batch that was committed'));
  const beyond = [...versions.keys()].filter((version) => version > run.version);
  if (beyond.length > 0)
    problems.push(`version ${beyond.join(', ')}: recorded, but the run is at ${run.version}`);
  const { weightsHash } = versions.get(run.version) ?? {};
  if (newestWeights === null ? run.version > 0 : newestWeights.version !== run.version)
    problems.push(`version is ${run.version}, but ${newestWeights?.version ?? 'none'} was announced last`);
  else if (newestWeights !== null && newestWeights.sha256 !== weightsHash)
    problems.push(`version ${run.version}: the weights announced are not those recorded`);
  return problems;
}

/** Invariant S, of every group in a batch. */
function verifyLag({ leases, versions, groups }: LedgerSnapshot): string[] {
  const made = [...versions.values()].flatMap(({ version, batch }) =>
    batch === null ? [] : [{ step: version - 1, ...batch }],
  );
  const batches: Pick<Lease, 'step' | 'indices' | 'maxStaleness'>[] = [...made, ...leases];
  return batches.flatMap(({ step, indices, maxStaleness }) =>
    indices.flatMap((index) => {
      const record = groups.get(index);
      if (record === undefined) return [];
      if (record.origin === null) return [`group ${index}: in a batch, but its versions are not recorded`];
      const { oldest, newest } = record.origin;
      if (step - oldest <= maxStaleness && newest <= step && oldest >= record.minVersion) return [];
      return [
        `group ${index}: tokens of versions ${oldest} to ${newest} at step ${step}, admitted for ${record.minVersion} and newer, maxStaleness ${maxStaleness}`,
      ];
    }),
  );
}

function wrongStep(
  indices: readonly number[],
  step: number,
  groups: ReadonlyMap<number, GroupRecord>,
): number[] {
  return indices.filter((index) => groups.has(index) && groups.get(index)!.step !== step);
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
