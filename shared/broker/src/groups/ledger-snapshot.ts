import { boundOf } from '@forge/contracts';
import type { Redis } from 'ioredis';
import { parseGroupRecord, type GroupRecord } from './group-record';
import type { RunKeys } from '../keys';
import { forgottenOf, ledgerOf, type Forgotten, type Ledger } from './ledger';
import { Script } from '../redis/script';

/** A batch that is formed and not committed. */
export interface Lease {
  step: number;
  /** Its entry in the batches stream. */
  entry: string;
  indices: number[];
  /** The bound its groups were held to. */
  maxStaleness: number;
}

/** A version of the policy. */
export interface VersionRecord {
  version: number;
  /** sha256 of its file. */
  weightsHash: string;
  /** The trainer's epoch. */
  epoch: number;
  /** The earlier version whose weights it has; null where its step trained. */
  rolledBackTo: number | null;
  /** The batch of its step; null for the version a run starts from. */
  batch: { indices: number[]; maxStaleness: number } | null;
}

/** All that the ledger counts, and where it is, at one moment. */
export interface LedgerSnapshot {
  run: {
    state: string;
    version: number;
    nextBatch: number;
    /** Groups that were admitted and whose admission did not return. */
    started: number;
    nextIndex: number;
    /** Records of groups before it are forgotten. */
    firstKept: number;
    /** Records of versions before it, but 0, are forgotten. */
    firstKeptVersion: number;
  };
  ledger: Ledger;
  forgotten: Forgotten;
  groups: ReadonlyMap<number, GroupRecord>;
  /** Invalid records and fields, each in words. */
  unreadable: string[];
  /** Groups whose job has no result. */
  pending: number[];
  /** Version of each buffered group's oldest token. */
  buffer: ReadonlyMap<number, number>;
  /** Groups whose payloads are kept. */
  payloads: number[];
  leases: Lease[];
  batches: Omit<Lease, 'maxStaleness'>[];
  /** Entries of the groups stream; null: it names no group. */
  streamed: { entry: string; index: number | null }[];
  versions: ReadonlyMap<number, VersionRecord>;
  newestWeights: { version: number; sha256: string } | null;
}

/**
 * Reads everything the ledger counts in one go, so that the parts fit together while the run goes on. It changes
 * nothing.
 * KEYS run, ledger, records, pending, buffer, payloads, leases, batches, groups, versions, weights
 * Returns the hashes flat (of pending and payloads the fields, of buffer field and version), and flat the entries:
 * batches id, version, indices; groups id, index; weights version, sha256 of the newest.
 */
const snapshot = new Script(`
local function unpacked(bytes)
  local isMessage, message = pcall(cmsgpack.unpack, bytes or '')
  if isMessage and type(message) == 'table' then return message end
  return {}
end
local function fieldOf(entry, name)
  for i = 1, #entry[2], 2 do if entry[2][i] == name then return entry[2][i + 1] end end
  return ''
end
local buffer = {}
local stored = redis.call('HGETALL', KEYS[5])
for i = 1, #stored, 2 do
  local isJson, meta = pcall(cjson.decode, stored[i + 1])
  table.insert(buffer, stored[i])
  table.insert(buffer, isJson and type(meta) == 'table' and tostring(meta.version) or '')
end
local batches = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[8], '-', '+')) do
  local batch = unpacked(fieldOf(entry, 'batch'))
  local indices = {}
  for _, group in ipairs(batch.groups or {}) do table.insert(indices, tostring(group.index)) end
  for _, value in ipairs({ entry[1], tostring(batch.version), table.concat(indices, ',') }) do
    table.insert(batches, value)
  end
end
local streamed = {}
local after = '-'
repeat
  local entries = redis.call('XRANGE', KEYS[9], after, '+', 'COUNT', 8)
  for _, entry in ipairs(entries) do
    table.insert(streamed, entry[1])
    table.insert(streamed, fieldOf(entry, 'index'))
    after = '(' .. entry[1]
  end
until #entries == 0
local newest = redis.call('XREVRANGE', KEYS[11], '+', '-', 'COUNT', 1)[1]
local weights = {}
if newest then
  local announcement = unpacked(fieldOf(newest, 'announcement'))
  weights = { tostring(announcement.version), tostring(announcement.sha256) }
end
return { redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3]),
  redis.call('HKEYS', KEYS[4]), buffer, redis.call('HKEYS', KEYS[6]), redis.call('HGETALL', KEYS[7]),
  batches, streamed, redis.call('HGETALL', KEYS[10]), weights }
`);

type Parts = readonly [string[], ...string[][]];

export async function readLedgerSnapshot(redis: Redis, keys: RunKeys): Promise<LedgerSnapshot> {
  const { run, ledger, records, pending, buffer, payloads, leases, batches, groups, versions, weights } =
    keys;
  const names = [run, ledger, records, pending, buffer, payloads, leases, batches, groups, versions, weights];
  return parseSnapshot((await snapshot.run(redis, names, [])) as string[][] as unknown as Parts);
}

function parseSnapshot(parts: Parts): LedgerSnapshot {
  const unreadable: string[] = [];
  const part = (i: number): string[] => parts[i] ?? [];
  const number = (text: string | undefined, what: string): number => {
    if (text !== undefined && /^\d+$/.test(text)) return Number(text);
    unreadable.push(`${what} is ${text ?? 'missing'}`);
    return Number.NaN;
  };
  const parsed = <T>(text: string, what: string, parse: (text: string) => T | null): T[] => {
    try {
      const value = parse(text);
      if (value !== null) return [value];
    } catch {
      // Said below.
    }
    unreadable.push(`${what} is ${text}`);
    return [];
  };
  const run = fieldsOf(part(0));
  const counts = fieldsOf(part(1));
  const groups = pairsOf(part(2)).flatMap(([index, text]) =>
    parsed(text, `the record of group ${index}`, (record) =>
      parseGroupRecord(number(index, 'the index of a group'), record),
    ),
  );
  const leases = pairsOf(part(6)).flatMap(([step, text]) =>
    parsed(text, `the lease of step ${step}`, (json) => leaseOf(Number(step), json)),
  );
  const versions = pairsOf(part(9)).flatMap(([version, text]) =>
    parsed(text, `the record of version ${version}`, (json) => versionOf(Number(version), json)),
  );
  const [newestVersion, sha256] = part(10);
  return {
    run: {
      state: run['state'] ?? 'missing',
      version: number(run['version'], 'version'),
      nextBatch: number(run['nextBatch'], 'nextBatch'),
      started: number(run['started'], 'started'),
      nextIndex: number(run['nextIndex'], 'nextIndex'),
      firstKept: number(run['firstKept'] ?? '0', 'firstKept'),
      firstKeptVersion: number(run['firstKeptVersion'] ?? '1', 'firstKeptVersion'),
    },
    ledger: ledgerOf(counts),
    forgotten: forgottenOf(counts),
    groups: new Map(groups.sort((a, b) => a.index - b.index).map((record) => [record.index, record])),
    unreadable,
    pending: part(3).map(Number),
    buffer: new Map(
      pairsOf(part(4)).map(([index, version]) => [
        Number(index),
        number(version, `the version of buffered group ${index}`),
      ]),
    ),
    payloads: part(5).map(Number),
    leases: leases.sort((a, b) => a.step - b.step),
    batches: inThrees(part(7)).map(([entry, step, indices]) => ({
      entry,
      step: number(step, `the step of batch entry ${entry}`),
      indices: indices === '' ? [] : indices.split(',').map(Number),
    })),
    streamed: pairsOf(part(8)).map(([entry, index]) => ({
      entry,
      index: /^\d+$/.test(index) ? Number(index) : null,
    })),
    versions: new Map(
      versions.sort((a, b) => a.version - b.version).map((record) => [record.version, record]),
    ),
    newestWeights:
      newestVersion === undefined ? null : { version: Number(newestVersion), sha256: sha256 ?? '' },
  };
}

function pairsOf(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!, flat[2 * i + 1]!]);
}

function inThrees(flat: readonly string[]): [string, string, string][] {
  return Array.from({ length: flat.length / 3 }, (_, i) => [
    flat[3 * i]!,
    flat[3 * i + 1]!,
    flat[3 * i + 2]!,
  ]);
}

const fieldsOf = (flat: readonly string[]): Record<string, string> => Object.fromEntries(pairsOf(flat));

interface StoredBatch {
  indices: string[];
  maxStaleness: string;
}

/** The staleness bound that a stored lease was formed under. */
export const leasedBound = (json: string): number => leaseOf(0, json).maxStaleness;

function leaseOf(step: number, json: string): Lease {
  const { entry, indices, maxStaleness } = JSON.parse(json) as StoredBatch & { entry: string };
  return { step, entry, indices: indices.map(Number), maxStaleness: boundOf(maxStaleness) };
}

function versionOf(version: number, json: string): VersionRecord {
  const stored = JSON.parse(json) as {
    weightsHash: string;
    epoch: number;
    groups?: string[];
    maxStaleness: string;
    rolledBackTo?: number;
  };
  const { weightsHash, epoch, groups, maxStaleness, rolledBackTo = null } = stored;
  const batch =
    groups === undefined ? null : { indices: groups.map(Number), maxStaleness: boundOf(maxStaleness) };
  return { version, weightsHash, epoch, rolledBackTo, batch };
}
