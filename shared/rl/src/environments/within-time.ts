/** Time that work may take, and the signal that may end it before. */
export interface TimeBounds {
  timeoutMs: number;
  signal: AbortSignal;
}

/**
 * The result of `work`, whose signal is aborted when it takes too long or `signal` is aborted; it is not waited for any
 * longer then.
 */
export async function withinTime<T>(
  { timeoutMs, signal }: TimeBounds,
  work: (signal: AbortSignal) => T | Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const ending = new AbortController();
  const end = (): void => ending.abort(signal.reason);
  const ended = new Promise<never>((_resolve, reject) => {
    ending.signal.addEventListener('abort', () => reject(ending.signal.reason as Error), { once: true });
  });
  const timer = setTimeout(() => ending.abort(new Error(`it took longer than ${timeoutMs} ms`)), timeoutMs);
  signal.addEventListener('abort', end, { once: true });
  try {
    // A race handles the rejections of both, also the later one.
    return await Promise.race([ended, (async () => work(ending.signal))()]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  }
}

/** Result of `open`, within its time; one that comes too late is closed again. */
export async function openWithinTime<T>(
  bounds: TimeBounds,
  open: () => Promise<T>,
  close: (late: T) => unknown,
): Promise<T> {
  bounds.signal.throwIfAborted();
  const opening = open();
  try {
    return await withinTime(bounds, () => opening);
  } catch (error) {
    opening.then(close).catch(() => undefined);
    throw error;
  }
}

/** Does `close` within its time, even when all else is aborted; whether it succeeded. */
export function closedWithinTime(timeoutMs: number, close: () => unknown): Promise<boolean> {
  const { signal } = new AbortController();
  return withinTime({ timeoutMs, signal }, close).then(
    () => true,
    () => false,
  );
}
