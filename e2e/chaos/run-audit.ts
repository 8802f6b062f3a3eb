import { runKeys } from '@forge/broker';
import { boundOf, decode, groupSchema } from '@forge/contracts';
import type { Command } from './append-only-file';

/** Counts and faults in the history of a run. */
export interface Audit {
  admitted: number;
  trained: number;
  discarded: Readonly<Record<string, number>>;
  /** Groups that are neither trained nor discarded. */
  open: number;
  /** Optimizer steps that were committed. */
  steps: number;
  trainedTokens: number;
  maxLag: number;
  /** Trainers the run has had. */
  epochs: number;
  violations: readonly string[];
}

/** States a group may come from, by its new state; `-` stands for no state. */
const BEFORE: Readonly<Record<string, string>> = { f: '-', p: 'f', b: 'p', l: 'b', t: 'l', d: 'fpbl' };
/** Place where the ledger counts a group, by its state. */
const PLACE: Readonly<Record<string, string>> = {
  f: 'inFlight',
  p: 'inFlight',
  b: 'buffered',
  l: 'leased',
  t: 'trained',
  d: 'discarded',
};
const DISCARDED = 'discarded:';
const VIOLATIONS_KEPT = 50;

/**
 * Follows a run through every change its Redis made, independently of the code that made them.
 *
 * Checks that every group goes the one way there is, each stage at most once; that after every single change the
 * ledger equals the groups by state (invariant L); that steps are committed one after the other; and the lag of every
 * token in every step, by the episodes themselves (invariant S).
 */
export class RunAudit {
  private readonly states = new Map<string, string>();
  private readonly ledger = new Map<string, number>();
  private readonly counts = new Map<string, number>();
  /** Versions of the chosen tokens, by group. */
  private readonly versions = new Map<string, number[]>();
  /** The staleness bound of batches that are not committed, by step. */
  private readonly bounds = new Map<number, number>();
  private readonly violations: string[] = [];
  private readonly keys: ReturnType<typeof runKeys>;
  private trainedNow: string[] = [];
  /** Groups of a batch that were discarded; only a commit does that. */
  private rolledBackNow = 0;
  private version = 0;
  private epochs = 0;
  private trainedTokens = 0;
  private maxLag = 0;

  constructor(
    runId: string,
    /** The bound until the run is set otherwise. */
    private maxStaleness: number,
  ) {
    this.keys = runKeys(runId);
  }

  /** Takes in what was changed at once. */
  take(transaction: readonly Command[]): void {
    const { records, payloads, ledger, leases, run } = this.keys;
    let isMoved = false;
    for (const [name, key, ...args] of transaction) {
      const change = `${name!.toString().toUpperCase()} ${key?.toString() ?? ''}`;
      if (change === `HSET ${records}`) {
        // A record begins with the state.
        for (const [index, record] of pairs(args))
          this.move(index.toString(), record.toString('latin1', 0, 1));
      } else if (change === `HSET ${payloads}`) {
        for (const [index, payload] of pairs(args)) this.keep(index.toString(), payload);
      } else if (change === `HINCRBY ${ledger}`) {
        const [field, by] = args.map(String);
        this.ledger.set(field!, this.inLedger(field!) + Number(by));
      } else if (change === `HSET ${leases}`) {
        // The bound of a batch is the one that holds when it is formed.
        for (const [step] of pairs(args)) this.bounds.set(Number(step.toString()), this.maxStaleness);
      } else if (change === `HSET ${run}`) {
        for (const [field, value] of pairs(args)) {
          if (field.toString() === 'maxStaleness') this.maxStaleness = boundOf(value.toString());
          if (field.toString() === 'version') this.commit(Number(value.toString()));
        }
      } else if (change === `HINCRBY ${run}` && args[0]?.toString() === 'epoch') {
        this.epochs += Number(args[1]!.toString());
      }
      isMoved ||= change.endsWith(records) || change.endsWith(ledger);
    }
    if (this.rolledBackNow > 0)
      this.violate(`${this.rolledBackNow} groups left their batch without a commit`);
    this.rolledBackNow = 0;
    if (isMoved) this.compare();
  }

  result(): Audit {
    const discarded = [...this.ledger]
      .filter(([name]) => name.startsWith(DISCARDED))
      .map(([name, value]) => [name.slice(DISCARDED.length), value] as const);
    return {
      admitted: this.states.size,
      trained: this.in('trained'),
      discarded: Object.fromEntries(discarded),
      open: this.in('inFlight') + this.in('buffered') + this.in('leased'),
      steps: this.version,
      trainedTokens: this.trainedTokens,
      maxLag: this.maxLag,
      epochs: this.epochs,
      violations: this.violations,
    };
  }

  private move(index: string, state: string): void {
    const before = this.states.get(index) ?? '-';
    if (!BEFORE[state]?.includes(before)) this.violate(`group ${index} went from ${before} to ${state}`);
    this.states.set(index, state);
    if (before !== '-') this.count(before, -1);
    this.count(state, 1);
    if (state === 't') this.trainedNow.push(index);
    if (state === 'd' && before === 'l') this.rolledBackNow += 1;
    if (state === 'd') this.versions.delete(index);
  }

  private count(state: string, by: number): void {
    const place = PLACE[state]!;
    this.counts.set(place, this.in(place) + by);
  }

  /** Groups in a place. */
  private in(place: string): number {
    return this.counts.get(place) ?? 0;
  }

  private inLedger(field: string): number {
    return this.ledger.get(field) ?? 0;
  }

  private keep(index: string, payload: Buffer): void {
    const { episodes } = decode(groupSchema, payload, `group ${index}`);
    const chosen = episodes.flatMap(({ mask, versions }) => [...versions].filter((_, t) => mask[t] === 1));
    this.versions.set(index, chosen);
  }

  /** A step is committed: what was trained in it has to be fresh enough for the version before. */
  private commit(version: number): void {
    const trained = this.trainedNow;
    const isRolledBack = this.rolledBackNow > 0;
    this.trainedNow = [];
    this.rolledBackNow = 0;
    if (version === 0) return;
    if (version !== this.version + 1) this.violate(`version ${version} was committed after ${this.version}`);
    if (trained.length > 0 === isRolledBack)
      this.violate(
        `step ${version} trained ${isRolledBack ? 'some groups of a batch, but not all' : 'no group'}`,
      );
    this.version = version;
    const bound = this.bounds.get(version - 1) ?? this.maxStaleness;
    this.bounds.delete(version - 1);
    for (const index of trained) {
      const versions = this.versions.get(index);
      if (versions === undefined)
        this.violate(`step ${version} trained group ${index}, of no known episodes`);
      for (const made of versions ?? []) {
        const lag = version - 1 - made;
        this.maxLag = Math.max(this.maxLag, lag);
        if (lag > bound || lag < 0)
          this.violate(`step ${version} trained a token of group ${index} with a lag of ${lag}`);
      }
      this.trainedTokens += versions?.length ?? 0;
      this.versions.delete(index);
    }
  }

  /** Invariant L. */
  private compare(): void {
    const wrong = ['inFlight', 'buffered', 'leased', 'trained'].filter(
      (place) => this.inLedger(place) !== this.in(place),
    );
    if (this.inLedger('admitted') !== this.states.size) wrong.push('admitted');
    let discarded = 0;
    for (const [name, value] of this.ledger) if (name.startsWith(DISCARDED)) discarded += value;
    if (discarded !== this.in('discarded')) wrong.push('discarded');
    if (wrong.length > 0)
      this.violate(`at version ${this.version} the ledger is not what the groups are: ${wrong.join(', ')}`);
  }

  private violate(what: string): void {
    if (this.violations.length < VIOLATIONS_KEPT) this.violations.push(what);
  }
}

function* pairs(args: readonly Buffer[]): Generator<readonly [Buffer, Buffer]> {
  for (let i = 0; i + 1 < args.length; i += 2) yield [args[i]!, args[i + 1]!];
}
