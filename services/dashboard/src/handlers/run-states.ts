import { withRun, type RunAccess } from '@forge/runs';
import type { RunCatalog } from './run-catalog';
import type { RunWatchers } from './run-watchers';

type StateAccess = Pick<RunAccess, 'runState' | 'registry'>;

/**
 * The state of runs, running or over. The own Redis of one that is over is started for as long as it takes, one after
 * the other.
 */
export class RunStates {
  private turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly catalog: RunCatalog,
    private readonly watchers: RunWatchers,
  ) {}

  /** @throws {ForgeError} CONFLICT_STATE when the state is gone; TRANSIENT_REDIS_UNREACHABLE; what `work` throws. */
  use<T>(id: string, work: (access: StateAccess) => Promise<T>): Promise<T> {
    const { record } = this.catalog.find(id);
    if (record.state === 'running') return this.watchers.of(id).use(work);
    const mine = this.turn.then(() => withRun(record, work));
    this.turn = mine.catch(() => undefined);
    return mine;
  }
}
