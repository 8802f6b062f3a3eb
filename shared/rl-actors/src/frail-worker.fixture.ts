import { serveWorker } from '@forge/threads';

/** A thread that dies when it is asked to. */
const api = {
  open: () => Promise.resolve(),
  crash: () => {
    setImmediate(() => {
      throw new Error('boom');
    });
    return new Promise<void>(() => undefined);
  },
};

export type FrailApi = typeof api;

serveWorker(api);
