import { setFlagsFromString } from 'node:v8';
// eslint-disable-next-line no-restricted-imports -- the script is a constant; a new context alone has the collector
import { runInNewContext } from 'node:vm';

/**
 * Frees what nothing refers to any more in this thread, now. V8 would wait until the heap, with the arrays of weights in
 * it, has doubled.
 */
export const collectGarbage = exposedCollector();

function exposedCollector(): () => void {
  setFlagsFromString('--expose-gc');
  try {
    return runInNewContext('gc') as () => void;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}
