const TICK_MS = 5;

/** A deadline that was set, to be withdrawn. */
export interface Deadline {
  readonly tick: number;
  readonly onDue: () => void;
}

/**
 * Many deadlines on one timer. They are due in the same tick of 5 ms and never early; setting and withdrawing one
 * costs about as much as a Map entry, which a timer of its own per call does not.
 */
export class Deadlines {
  private readonly ticks = new Map<number, Set<Deadline>>();
  private timer: NodeJS.Timeout | undefined;
  private timerTick = Infinity;

  constructor(private readonly clock: () => number = () => performance.now()) {}

  /** Calls `onDue` once, `delayMs` from now or up to a tick later. */
  set(delayMs: number, onDue: () => void): Deadline {
    const tick = Math.ceil((this.clock() + Math.max(0, delayMs)) / TICK_MS);
    const deadline = { tick, onDue };
    const sharing = this.ticks.get(tick);
    if (sharing === undefined) this.ticks.set(tick, new Set([deadline]));
    else sharing.add(deadline);
    if (tick < this.timerTick) this.arm(tick);
    else this.timer?.ref();
    return deadline;
  }

  withdraw(deadline: Deadline): void {
    const sharing = this.ticks.get(deadline.tick);
    sharing?.delete(deadline);
    if (sharing?.size !== 0) return;
    this.ticks.delete(deadline.tick);
    // The timer stays, to be found by the next deadline, but keeps no process going.
    if (this.ticks.size === 0) this.timer?.unref();
  }

  private arm(tick: number): void {
    clearTimeout(this.timer);
    this.timerTick = tick;
    // Longer delays than a timer takes are armed again on the way.
    const delayMs = Math.min(tick * TICK_MS - this.clock(), 2 ** 31 - 1);
    this.timer = setTimeout(() => {
      this.fire();
    }, delayMs);
  }

  private fire(): void {
    this.timerTick = Infinity;
    const now = this.clock();
    const due: Deadline[] = [];
    for (const [tick, sharing] of this.ticks) {
      if (tick * TICK_MS > now) continue;
      this.ticks.delete(tick);
      due.push(...sharing);
    }
    for (const { onDue } of due) onDue();
    let next = Infinity;
    for (const tick of this.ticks.keys()) next = Math.min(next, tick);
    if (next < this.timerTick) this.arm(next);
  }
}
