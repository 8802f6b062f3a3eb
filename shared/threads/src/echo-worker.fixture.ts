import { ForgeError } from '@forge/errors';
import { Transfer } from './calls';
import { serveWorker } from './worker';

/** Functions that the tests of worker threads call. */
const api = {
  echo: (value: unknown) => Promise.resolve(value),
  give: (length: number) => {
    const data = new Float32Array(length).fill(7);
    return Promise.resolve(new Transfer(data, [data.buffer]));
  },
  spin: (ms: number) => {
    const end = performance.now() + ms;
    while (performance.now() < end);
    return Promise.resolve(ms);
  },
  untilCancelled: (_: undefined, signal: AbortSignal) =>
    new Promise<string>((resolve) => {
      if (signal.aborted) resolve('at once');
      signal.addEventListener('abort', () => resolve('cancelled'));
    }),
  throwNow: (): Promise<unknown> => {
    throw new RangeError('at once');
  },
  crash: (): Promise<unknown> => {
    setImmediate(() => {
      throw new Error('boom');
    });
    return new Promise(() => undefined);
  },
  loseDevice: (): Promise<unknown> =>
    Promise.reject(new ForgeError('TRANSIENT_DEVICE_LOST', 'the webgpu device is lost', {})),
  announce: (data: unknown) => {
    emit('news', data);
    return Promise.resolve();
  },
};

export type EchoApi = typeof api;

const { emit } = serveWorker(api);
