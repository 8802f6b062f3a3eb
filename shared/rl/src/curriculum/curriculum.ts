import { mix } from '../tasks/seeded-hash';
import type { Task } from '../tasks/task';
import { PoolWorths } from './pool-worths';
import { SavedFields } from './saved-fields';

export interface CurriculumOptions {
  /** Share of draws that follow the task's order, whatever is known. */
  explore: number;
  /** Draws after its result before a sample may be chosen again; at most half of the task. */
  repeatAfter: number;
  seed: number;
}

/** Result of a group that was drawn. */
export interface DrawResult {
  /** The position that was drawn. */
  position: number;
  /** Success rate of its episodes, 0 … 1. */
  success: number;
  informative: boolean;
}

/** Positions of the task's order that are known ahead; they wait there to be chosen. */
const AHEAD = 8_192;
/** Samples whose success is remembered; those with the oldest results are forgotten, and come again with the order. */
const REMEMBERED = 16_384;
/** Share of the newest result in a sample's success rate. */
const NEWEST = 0.5;
/** A pool is drawn in proportion to this power of the worth it predicts: the first would hardly prefer any. */
const EAGERNESS = 2;

interface Entry {
  id: string;
  position: number;
  difficulty: string;
  /** Decayed success rate; null before its first result. */
  rate: number | null;
  /** Pool it was drawn from last, while its result is awaited. */
  from: string | null;
  /** Draws there had been when its newest result came. */
  restsSince: number;
  /** Number of its newest draw or result: the order in which all are remembered. */
  turn: number;
}

/**
 * Draws the samples of a task by what is known of each: a sample is in the pool of its difficulty and of its decayed
 * success rate, or of those not seen yet; a pool is drawn in proportion to its size and to the square of what its newest
 * groups were worth. Of a pool the sample that waits longest is drawn.
 *
 * The share `explore` of the draws takes the first undrawn position of the task's order instead, so that nothing is
 * forgotten: a position is drawn at most 8,192 / explore draws after it was reached.
 *
 * A pure function of seed, draws and observed results in their order; `changes` and the constructor carry it over to
 * another process to the bit.
 */
export class Curriculum {
  private readonly saved = new SavedFields();
  private readonly worths = new PoolWorths();
  /** By id, samples that are ahead or remembered. */
  private readonly entries = new Map<string, Entry>();
  /** Undrawn positions of the order that are known, with the sample of each. */
  private readonly ahead = new Map<number, string>();
  /** Samples with a draw, in the order of `turn`. */
  private readonly drawn = new Set<Entry>();
  /** Samples that may not be chosen yet, oldest result first. */
  private readonly resting = new Set<Entry>();
  /** Samples that may be chosen by pool. */
  private readonly pools = new Map<string, Set<Entry>>();
  private readonly repeatAfter: number;
  private cursor = 0;
  private draws = 0;
  private turns = 0;
  private steps = 0;

  constructor(
    private readonly task: Pick<Task, 'size' | 'sample' | 'difficulty'>,
    private readonly options: CurriculumOptions,
    saved: Readonly<Record<string, string>> = {},
  ) {
    this.repeatAfter = Math.min(options.repeatAfter, Math.floor(task.size / 2));
    this.restore(saved);
  }

  /** The step whose results are awaited next. */
  get nextStep(): number {
    return this.steps;
  }

  /** Starts where a run without a memory is in its order. Only before the first draw. */
  startAt(position: number, step: number): void {
    this.cursor = position;
    this.steps = step;
  }

  /** The position in the task's order of the sample to roll out next. */
  draw(): number {
    this.lookAhead();
    this.wake();
    const number = this.draws++;
    const { explore } = this.options;
    const isDue = Math.floor((number + 1) * explore) > Math.floor(number * explore);
    const entry = isDue ? null : this.chosen(number);
    const drawn = entry ?? this.next();
    this.take(drawn);
    this.save();
    return drawn.position;
  }

  /** Takes in the results of the batch of a step, in the order in which the batch names them. */
  observe(results: readonly DrawResult[]): void {
    for (const { position, success, informative } of results) {
      const entry = this.entryAt(position);
      const pool = entry.from ?? poolOf(entry);
      const share = Math.min(1, Math.max(0, success));
      for (const name of this.worths.observe(pool, worthOf(informative, share)))
        this.saved.set(`pool:${name}`, this.worths.text(name));
      this.release(entry);
      entry.rate = entry.rate === null ? share : entry.rate + NEWEST * (share - entry.rate);
      entry.from = null;
      entry.restsSince = this.draws;
      this.remember(entry);
      this.resting.add(entry);
    }
    this.steps += 1;
    this.save();
  }

  /** Changes since the last call, as fields of a hash: texts to set, and null for fields to delete. */
  changes(): Record<string, string | null> {
    return this.saved.changes();
  }

  /** Fills up what is known of the order. */
  private lookAhead(): void {
    while (this.ahead.size < Math.min(AHEAD, this.task.size)) {
      const position = this.cursor++;
      const { id } = this.task.sample(position);
      this.ahead.set(position, id);
      const isNew = !this.entries.has(id);
      this.saved.set(`ahead:${position}`, isNew ? 'new' : '');
      if (isNew) this.pool(this.enter(id, position));
    }
  }

  /** Lets samples be chosen again that rested long enough. */
  private wake(): void {
    for (const entry of this.resting) {
      if (entry.restsSince + this.repeatAfter > this.draws) return;
      this.resting.delete(entry);
      this.pool(entry);
    }
  }

  /** The sample that the shares of the pools and the chance of this draw say; null where none may be chosen. */
  private chosen(draw: number): Entry | null {
    const weights = [...this.pools].map(([name, { size }]) => ({
      name,
      weight: size * this.worths.predict(name) ** EAGERNESS,
    }));
    // The order of the pools is not that of their making, which a restored curriculum does not know.
    weights.sort((a, b) => (a.name < b.name ? -1 : 1));
    let left =
      (mix(this.options.seed, draw) / 2 ** 32) * weights.reduce((sum, { weight }) => sum + weight, 0);
    const pool = weights.find(({ weight }) => (left -= weight) < 0) ?? weights.at(-1);
    return pool === undefined ? null : first(this.pools.get(pool.name)!);
  }

  /** The sample at the first undrawn position of the order. */
  private next(): Entry {
    const [position, id] = first(this.ahead)!;
    this.forgetAhead(position);
    return this.entries.get(id) ?? this.enter(id, position);
  }

  private take(entry: Entry): void {
    const from = poolOf(entry);
    this.release(entry);
    this.forgetAhead(entry.position);
    entry.from = from;
    this.remember(entry);
  }

  /** Makes an entry the newest that is remembered, and forgets the oldest beyond the bound. */
  private remember(entry: Entry): void {
    entry.turn = this.turns++;
    this.drawn.delete(entry);
    this.drawn.add(entry);
    this.saved.set(`sample:${entry.position}`, textOf(entry));
    if (this.drawn.size <= REMEMBERED) return;
    const oldest = first(this.drawn)!;
    this.release(oldest);
    this.drawn.delete(oldest);
    this.entries.delete(oldest.id);
    this.saved.delete(`sample:${oldest.position}`);
  }

  private enter(id: string, position: number): Entry {
    const difficulty = this.task.difficulty?.(position) ?? '';
    const entry = { id, position, difficulty, rate: null, from: null, restsSince: 0, turn: 0 };
    this.entries.set(id, entry);
    return entry;
  }

  /** The entry of a drawn position, which may have been forgotten meanwhile. */
  private entryAt(position: number): Entry {
    const { id } = this.task.sample(position);
    return this.entries.get(id) ?? this.enter(id, position);
  }

  private pool(entry: Entry): void {
    const name = poolOf(entry);
    const pool = this.pools.get(name) ?? new Set<Entry>();
    this.pools.set(name, pool.add(entry));
  }

  /** Takes an entry out of where it waits to be chosen. */
  private release(entry: Entry): void {
    this.resting.delete(entry);
    const pool = this.pools.get(poolOf(entry));
    pool?.delete(entry);
    if (pool?.size === 0) this.pools.delete(poolOf(entry));
  }

  private forgetAhead(position: number): void {
    if (this.ahead.delete(position)) this.saved.delete(`ahead:${position}`);
  }

  private save(): void {
    this.saved.set('counts', `${this.cursor} ${this.draws} ${this.turns} ${this.steps}`);
  }

  private restore(saved: Readonly<Record<string, string>>): void {
    const ahead: [number, string][] = [];
    const samples: Entry[] = [];
    for (const [field, text] of Object.entries(saved)) {
      const [kind, name] = [field.slice(0, field.indexOf(':')), field.slice(field.indexOf(':') + 1)];
      if (kind === 'pool') this.worths.restore(name, text);
      if (kind === 'ahead') ahead.push([Number(name), text]);
      if (kind === 'sample') samples.push(Object.assign(this.entryAt(Number(name)), stateIn(text)));
    }
    samples.sort((a, b) => a.turn - b.turn);
    for (const entry of samples) {
      this.drawn.add(entry);
      if (entry.from === null) this.resting.add(entry);
    }
    ahead.sort(([a], [b]) => a - b);
    for (const [position, text] of ahead) {
      const { id } = this.task.sample(position);
      this.ahead.set(position, id);
      if (text === 'new' && !this.entries.has(id)) this.pool(this.enter(id, position));
    }
    const [cursor = 0, draws = 0, turns = 0, steps = 0] = (saved['counts'] ?? '').split(' ').map(Number);
    Object.assign(this, { cursor, draws, turns, steps });
  }
}

/** Worth of a group: the share of it that fails, where it has a gradient that says how not to. */
function worthOf(isInformative: boolean, success: number): number {
  return isInformative ? 1 - success : 0;
}

/** Name of the pool of samples that an entry belongs to, by its success rate and its difficulty. */
function poolOf({ rate, difficulty }: Entry): string {
  return `${rate === null ? 'new' : level(rate)} ${difficulty}`;
}

/** Level of a success rate: 0 and 1 have no gradient to give, and change at their own pace. */
function level(rate: number): string {
  if (rate < 0.05) return 'never';
  if (rate > 0.95) return 'always';
  return rate < 0.35 ? 'seldom' : rate > 0.65 ? 'often' : 'half';
}

/** Fields of an entry besides its position. */
function textOf({ rate, from, restsSince, turn }: Entry): string {
  return JSON.stringify([rate, from, restsSince, turn]);
}

function stateIn(text: string): Pick<Entry, 'rate' | 'from' | 'restsSince' | 'turn'> {
  const [rate, from, restsSince, turn] = JSON.parse(text) as [number | null, string | null, number, number];
  return { rate, from, restsSince, turn };
}

function first<T>(items: Iterable<T>): T | null {
  for (const item of items) return item;
  return null;
}
