import { createInterface } from 'node:readline/promises';
import { bytesInWords, type DownloadWatch } from '@forge/downloads';
import { DownloadDisplay } from './shown/download-display';

/** A download of more than this is asked about where a person can answer. */
const ASKED_BYTES = 5e9;

/**
 * The result of `work`, whose downloads are shown on stderr. Ctrl-C ends them where they are: what has arrived stays, and the
 * error is CANCELLED. `isAsked`: whether the user has asked for the download itself, however large it is.
 */
export async function withDownloads<T>(
  work: (watch: DownloadWatch) => Promise<T>,
  { isAsked = false }: { isAsked?: boolean } = {},
): Promise<T> {
  const stop = new AbortController();
  const onSignal = (): void => {
    stop.abort();
  };
  const display = new DownloadDisplay(process.stderr, () => performance.now());
  const { say, onProgress } = display;
  const canAnswer = process.stdin.isTTY && process.stderr.isTTY;
  const watch: DownloadWatch = { say, onProgress, signal: stop.signal };
  if (canAnswer && !isAsked) watch.confirm = (bytes) => confirmed(bytes, stop.signal);
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    return await work(watch);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    display.end();
  }
}

async function confirmed(bytes: number, signal: AbortSignal): Promise<boolean> {
  if (bytes <= ASKED_BYTES) return true;
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await asking.question(`forge: download ${bytesInWords(bytes)}? [Y/n] `, { signal });
    return !/^\s*n/i.test(answer);
  } catch {
    return false;
  } finally {
    asking.close();
  }
}
