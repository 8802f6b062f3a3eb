import { setTimeout as sleep } from 'node:timers/promises';

export interface JobDrain {
  /** Takes no more jobs, and resolves once those under way are over. */
  close: () => Promise<void>;
  /** Ends the jobs under way without a result; another replica does them. */
  handBack: () => void;
  /** True when the rest of the run is going, too; assumed where that can't be told. */
  isAlone: () => Promise<boolean>;
  /** How long the jobs under way may take. */
  withinMs: number;
}

const LOOK_MS = 200;

/** Finishes jobs under way, so that no work is lost, and hands back those too slow or impossible to finish. */
export async function drainJobs({ close, handBack, isAlone, withinMs }: JobDrain): Promise<void> {
  const closed = close();
  const over = new AbortController();
  const untilAlone = async (): Promise<void> => {
    while (!over.signal.aborted && !(await isAlone().catch(() => true))) await sleep(LOOK_MS);
  };
  const timeIsUp = sleep(withinMs, undefined, { signal: over.signal });
  await Promise.race([closed, untilAlone(), timeIsUp]).finally(() => over.abort());
  handBack();
  await closed;
}
