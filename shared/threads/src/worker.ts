import { extname, sep } from 'node:path';
import { SHARE_ENV, parentPort, Worker, type Transferable } from 'node:worker_threads';
import { ForgeError, type WireError } from '@forge/errors';
import { bundleOf } from './bundle-of';

type Request =
  | { kind: 'call'; id: number; method: string; argument: unknown }
  | { kind: 'cancel'; id: number }
  /** The thread ends once it has read this, which it does between two computations. */
  | { kind: 'end' };

type Reply =
  | { kind: 'result'; id: number; result: unknown }
  | { kind: 'error'; id: number; error: WireError }
  | { kind: 'event'; event: string; data: unknown };

/** The methods a worker answers: one argument, one promise; the signal fires when the caller cancels. */
export type WorkerApi = Record<string, (argument: never, signal: AbortSignal) => Promise<unknown>>;

export interface WorkerCallOptions {
  /** Memory to hand over to the worker instead of copying it. */
  transfer?: readonly Transferable[];
  /** Cancels in the worker; the call settles as the worker says. */
  signal?: AbortSignal;
}

/** A worker thread and the calls it answers. */
export interface WorkerHandle<Api extends WorkerApi> {
  call<M extends keyof Api & string>(
    method: M,
    argument: Parameters<Api[M]>[0],
    options?: WorkerCallOptions,
  ): Promise<Awaited<ReturnType<Api[M]>>>;
  on(event: string, listener: (data: unknown) => void): void;
  /** Settles with the reason when the thread has ended without being asked to. */
  readonly failed: Promise<ForgeError>;
  /**
   * Ends the thread between two computations; one that takes longer than `patienceMs` is cut off, by which onnxruntime
   * may take the whole process along.
   */
  terminate(patienceMs?: number): Promise<void>;
}

const PATIENCE_MS = 5_000;

export interface SpawnOptions {
  /** Whether the process goes on for this thread alone (default), or only while it is called. */
  keepsProcess?: boolean;
  /** Whether the thread sees and changes the environment of the process, or a copy of it (default). */
  sharesEnvironment?: boolean;
}

/**
 * Starts `module` (a path without extension, compiled next to the caller) in a thread of its own. When the thread
 * crashes, calls under way and later ones are rejected with BUG_INVARIANT.
 */
export function spawnWorker<Api extends WorkerApi>(
  module: string,
  workerData?: unknown,
  { keepsProcess = true, sharesEnvironment = false }: SpawnOptions = {},
): WorkerHandle<Api> {
  const worker = new Worker(bundleOf(compiledPath(module)), {
    workerData,
    ...(sharesEnvironment && { env: SHARE_ENV }),
  });
  if (!keepsProcess) worker.unref();
  const pending = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: ForgeError) => void }
  >();
  const listeners = new Map<string, ((data: unknown) => void)[]>();
  let nextId = 0;
  let isEnding = false;
  let failure: ForgeError | null = null;
  let fail: (error: ForgeError) => void;
  const failed = new Promise<ForgeError>((resolve) => (fail = resolve));

  worker.on('message', (reply: Reply) => {
    if (reply.kind === 'event') {
      for (const listener of listeners.get(reply.event) ?? []) listener(reply.data);
      return;
    }
    const call = pending.get(reply.id);
    pending.delete(reply.id);
    if (!keepsProcess && pending.size === 0) worker.unref();
    if (reply.kind === 'result') {
      call?.resolve(reply.result);
      return;
    }
    const error = ForgeError.fromWire(reply.error);
    call?.reject(error);
    // All that lay on the device is gone: only another process gets a device again.
    if (error.is('TRANSIENT_DEVICE_LOST')) {
      ended(error);
      void worker.terminate();
    }
  });
  const ended = (cause: unknown): void => {
    if (failure !== null) return;
    const reason = cause instanceof Error ? cause.message : `exit ${String(cause)}`;
    failure = isEnding
      ? new ForgeError('CANCELLED', 'the worker thread was ended', { module })
      : new ForgeError('BUG_INVARIANT', `the worker thread ${module} died: ${reason}`, { module }, { cause });
    for (const { reject } of pending.values()) reject(failure);
    pending.clear();
    if (!isEnding) fail(failure);
  };
  worker.on('error', ended);
  worker.on('exit', ended);
  const exited = new Promise<void>((resolve) => {
    worker.once('exit', () => {
      resolve();
    });
  });

  return {
    failed,
    call: (method, argument, { transfer = [], signal } = {}) =>
      new Promise((resolve, reject) => {
        if (failure !== null) {
          reject(failure);
          return;
        }
        const id = nextId++;
        const post = (request: Request, list: readonly Transferable[] = []): void => {
          worker.postMessage(request, list);
        };
        const cancel = (): void => {
          post({ kind: 'cancel', id });
        };
        const settled = (): void => signal?.removeEventListener('abort', cancel);
        pending.set(id, {
          resolve: (value) => {
            settled();
            resolve(value as never);
          },
          reject: (error) => {
            settled();
            reject(error);
          },
        });
        worker.ref();
        try {
          post({ kind: 'call', id, method, argument }, transfer);
          if (signal?.aborted === true) cancel();
          else signal?.addEventListener('abort', cancel, { once: true });
        } catch (cause) {
          pending.delete(id);
          const reason = cause instanceof Error ? cause.message : String(cause);
          reject(
            new ForgeError(
              'BUG_INVARIANT',
              `${method}: the argument can't cross threads: ${reason}`,
              { method },
              { cause },
            ),
          );
        }
      }),
    on: (event, listener) => {
      listeners.set(event, [...(listeners.get(event) ?? []), listener]);
    },
    terminate: async (patienceMs = PATIENCE_MS) => {
      isEnding = true;
      if (failure !== null) return;
      worker.ref();
      const deadline = setTimeout(() => void worker.terminate(), patienceMs);
      worker.postMessage({ kind: 'end' } satisfies Request);
      await exited;
      clearTimeout(deadline);
    },
  };
}

/** Under jest the caller is a source file; worker threads always run what is compiled. */
function compiledPath(module: string): string {
  const compiled = module.replace(`${sep}src${sep}`, `${sep}dist${sep}`);
  return extname(compiled) === '.js' ? compiled : `${compiled}.js`;
}

/** Value that a handler returns to hand memory over to the caller instead of copying it. */
export class Transfer<T> {
  constructor(
    readonly value: T,
    readonly list: readonly Transferable[],
  ) {}
}

/** Answers calls in a worker thread; call it once, at the end of the worker's module. */
export function serveWorker(handlers: WorkerApi): { emit: (event: string, data: unknown) => void } {
  const port = parentPort;
  if (port === null) throw new ForgeError('BUG_INVARIANT', 'serveWorker runs in a worker thread only');
  const reply = (message: Reply, transfer: readonly Transferable[] = []): void => {
    port.postMessage(message, transfer);
  };
  const underWay = new Map<number, AbortController>();
  port.on('message', (request: Request) => {
    if (request.kind === 'end') process.exit();
    const { id } = request;
    if (request.kind === 'cancel') {
      underWay.get(id)?.abort();
      return;
    }
    const { method, argument } = request;
    const handler = handlers[method] as
      ((argument: unknown, signal: AbortSignal) => Promise<unknown>) | undefined;
    const controller = new AbortController();
    underWay.set(id, controller);
    const answer = handler
      ? Promise.resolve().then(() => handler(argument, controller.signal))
      : Promise.reject(
          new ForgeError('CONTRACT_UNKNOWN_ENDPOINT', `the worker has no method ${method}`, { method }),
        );
    void answer
      .finally(() => underWay.delete(id))
      .then(
        (result) => {
          if (result instanceof Transfer) reply({ kind: 'result', id, result: result.value }, result.list);
          else reply({ kind: 'result', id, result });
        },
        (error: unknown) => {
          reply({ kind: 'error', id, error: ForgeError.from(error).toWire() });
        },
      );
  });
  return {
    emit: (event, data) => {
      reply({ kind: 'event', event, data });
    },
  };
}
