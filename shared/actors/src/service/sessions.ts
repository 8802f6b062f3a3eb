import type { Candidate, Router } from './routers';

/** Conduct of a session whose replica is lost: go on with another, whose state is fresh, or fail. */
export type OnSessionLost = 'move' | 'reject';

/** A replica as sessions see it; a restart makes it another generation, which knows nothing of the session. */
export interface Seat extends Candidate {
  sessions: number;
  readonly generation: number;
  readonly isHealthy: boolean;
}

interface Binding<S extends Seat> {
  readonly onLost: OnSessionLost;
  seat: S | null;
  generation: number;
  moves: number;
}

/** Goal of a session's next call. */
export type Placement<S extends Seat> =
  | { kind: 'stays' | 'bound'; seat: S }
  | { kind: 'moved'; seat: S; from: number }
  | { kind: 'lost'; from: number };

/** Bindings of sticky sessions to replicas: by `router`, from the first call until the session ends or the replica is lost. */
export class Sessions<S extends Seat> {
  private readonly bindings = new Map<string, Binding<S>>();
  private moved = 0;

  constructor(private readonly router: Router) {}

  get size(): number {
    return this.bindings.size;
  }

  /** Moves of all sessions so far. */
  get moves(): number {
    return this.moved;
  }

  has(id: string): boolean {
    return this.bindings.has(id);
  }

  open(id: string, onLost: OnSessionLost): void {
    this.bindings.set(id, { onLost, seat: null, generation: 0, moves: 0 });
  }

  /** Forgets a session; one that is not known is fine. */
  end(id: string): void {
    const binding = this.bindings.get(id);
    if (binding?.seat) binding.seat.sessions--;
    this.bindings.delete(id);
  }

  movesOf(id: string): number {
    return this.bindings.get(id)?.moves ?? 0;
  }

  /** The index of a session's replica; null before its first call. */
  seatIndex(id: string): number | null {
    return this.bindings.get(id)?.seat?.index ?? null;
  }

  /** Index of the replica by session; null before the first call. */
  placements(): Map<string, number | null> {
    return new Map([...this.bindings].map(([id, { seat }]) => [id, seat?.index ?? null]));
  }

  /**
   * The seat of a session, bound or moved when need be; an id that was never opened is opened. `lost` when the session
   * does not move; it stays lost.
   *
   * @param candidates healthy ones, at least one.
   */
  place(
    id: string,
    candidates: readonly S[],
    call: { endpoint: string; args: readonly unknown[] },
  ): Placement<S> {
    if (!this.bindings.has(id)) this.open(id, 'move');
    const binding = this.bindings.get(id)!;
    const { seat: old } = binding;
    if (old !== null) {
      if (old.isHealthy && old.generation === binding.generation) return { kind: 'stays', seat: old };
      if (binding.onLost === 'reject') return { kind: 'lost', from: old.index };
    }
    if (old !== null) old.sessions--;
    const seat = this.router(candidates, call) as S;
    seat.sessions++;
    binding.seat = seat;
    binding.generation = seat.generation;
    if (old === null) return { kind: 'bound', seat };
    binding.moves++;
    this.moved++;
    return { kind: 'moved', seat, from: old.index };
  }
}
