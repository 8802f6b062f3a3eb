const TICK_MS = 5;

/** A deadline that was set, to be withdrawn. */
export interface Deadline {
  /** All that are due in the same tick, in no order. */
  readonly due: Due;
  /** Place in the heap; -1 once it has left. */
  index: number;
  readonly onDue: () => void;
}

interface Due {
  readonly tick: number;
  readonly deadlines: Deadline[];
}

/**
 * Many deadlines on one timer. They are due in the same tick of 5 ms and never early; setting and withdrawing one
 * costs about as much as an entry of an array, which a timer of its own per call does not.
 */
export class Deadlines {
  private readonly ticks = new Map<number, Due>();
  private timer: NodeJS.Timeout | undefined;
  private timerTick = Infinity;

  constructor(private readonly clock: () => number = () => performance.now()) {}

  /** Calls `onDue` once, `delayMs` from now or up to a tick later. */
  set(delayMs: number, onDue: () => void): Deadline {
    const tick = Math.ceil((this.clock() + Math.max(0, delayMs)) / TICK_MS);
    let due = this.ticks.get(tick);
    if (due === undefined) this.ticks.set(tick, (due = { tick, deadlines: [] }));
    const deadline = { due, index: due.deadlines.length, onDue };
    due.deadlines.push(deadline);
    if (tick < this.timerTick) this.arm(tick);
    else this.timer?.ref();
    return deadline;
  }

  /** Does nothing when it was due, or withdrawn, before. */
  withdraw(deadline: Deadline): void {
    const { index, due } = deadline;
    if (index < 0) return;
    deadline.index = -1;
    const last = due.deadlines.pop()!;
    if (last !== deadline) {
      last.index = index;
      due.deadlines[index] = last;
    }
    if (due.deadlines.length > 0) return;
    this.ticks.delete(due.tick);
    // The timer stays, to be found by the next deadline, but keeps no process going.
    if (this.ticks.size === 0) this.timer?.unref();
  }

  private arm(tick: number): void {
    clearTimeout(this.timer);
    this.timerTick = tick;
    // Longer delays than a timer takes are armed again on the way; Node 24 warns of negative ones.
    const delayMs = Math.min(Math.max(0, tick * TICK_MS - this.clock()), 2 ** 31 - 1);
    this.timer = setTimeout(() => {
      this.fire();
    }, delayMs);
  }

  private fire(): void {
    this.timerTick = Infinity;
    const now = this.clock();
    for (const [tick, { deadlines }] of this.ticks) {
      if (tick * TICK_MS > now) continue;
      // A deadline that is due may withdraw others of its tick.
      for (let next = deadlines.at(-1); next !== undefined; next = deadlines.at(-1)) {
        this.withdraw(next);
        next.onDue();
      }
    }
    let next = Infinity;
    for (const tick of this.ticks.keys()) next = Math.min(next, tick);
    if (next < this.timerTick) this.arm(next);
  }
}
