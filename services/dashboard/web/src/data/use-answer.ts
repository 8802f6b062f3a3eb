import { useEffect, useState } from 'preact/hooks';
import { get, RequestProblem } from './api-client';

export interface Answer<T> {
  data: T | null;
  /** Reason for a missing answer, or for an old one. */
  problem: RequestProblem | null;
}

const RETRY_MS = 3_000;

/**
 * The server's answer to a path; asked again every `everyMs`, when `turn` changes, and soon after it could not answer.
 */
export function useAnswer<T>(
  path: string,
  { everyMs, turn }: { everyMs?: number; turn?: unknown } = {},
): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T> & { path: string }>({ path, data: null, problem: null });
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      let next = everyMs;
      try {
        const data = await get<T>(path, stop.signal);
        if (!stop.signal.aborted) setAnswer({ path, data, problem: null });
      } catch (error) {
        if (stop.signal.aborted || !(error instanceof RequestProblem)) return;
        setAnswer((old) => ({ path, data: old.path === path ? old.data : null, problem: error }));
        if (error.isPassing) next = RETRY_MS;
      }
      if (next !== undefined && !stop.signal.aborted) timer = setTimeout(() => void ask(), next);
    };
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [path, everyMs, turn]);
  return answer.path === path ? answer : { data: null, problem: null };
}
