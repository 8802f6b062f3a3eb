import { extname, sep } from 'node:path';
import { SHARE_ENV, parentPort, Worker } from 'node:worker_threads';
import { ForgeError } from '@forge/errors';
import { bundleOf } from './bundle-of';
import {
  answerCalls,
  Calls,
  type CallReply,
  type CallRequest,
  type WorkerApi,
  type WorkerCallOptions,
} from './calls';

/** The thread ends once it has read this, which it does between two computations. */
interface End {
  kind: 'end';
}

interface Emitted {
  kind: 'event';
  event: string;
  data: unknown;
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
  const calls = new Calls<Api>((request, transfer = []) => worker.postMessage(request, transfer));
  const listeners = new Map<string, ((data: unknown) => void)[]>();
  let isEnding = false;
  let failure: ForgeError | null = null;
  let fail: (error: ForgeError) => void;
  const failed = new Promise<ForgeError>((resolve) => (fail = resolve));

  worker.on('message', (reply: CallReply | Emitted) => {
    if (reply.kind === 'event') {
      for (const listener of listeners.get(reply.event) ?? []) listener(reply.data);
      return;
    }
    const error = calls.take(reply);
    if (!keepsProcess && calls.size === 0) worker.unref();
    // All that lay on the device is gone: only another process gets a device again.
    if (error?.is('TRANSIENT_DEVICE_LOST')) {
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
    calls.fail(failure);
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
    call: (method, argument, options) => {
      if (failure === null) worker.ref();
      return calls.call(method, argument, options);
    },
    on: (event, listener) => {
      listeners.set(event, [...(listeners.get(event) ?? []), listener]);
    },
    terminate: async (patienceMs = PATIENCE_MS) => {
      isEnding = true;
      if (failure !== null) return;
      worker.ref();
      const deadline = setTimeout(() => void worker.terminate(), patienceMs);
      worker.postMessage({ kind: 'end' } satisfies End);
      await exited;
      clearTimeout(deadline);
    },
  };
}

/** Under jest the caller is a source file; worker threads always run what is compiled. */
export function compiledPath(module: string): string {
  const compiled = module.replace(`${sep}src${sep}`, `${sep}dist${sep}`);
  return extname(compiled) === '.js' ? compiled : `${compiled}.js`;
}

/** Answers calls in a worker thread; call it once, at the end of the worker's module. */
export function serveWorker(handlers: WorkerApi): { emit: (event: string, data: unknown) => void } {
  const port = parentPort;
  if (port === null) throw new ForgeError('BUG_INVARIANT', 'serveWorker runs in a worker thread only');
  const answer = answerCalls(handlers, (reply, transfer = []) => port.postMessage(reply, transfer));
  port.on('message', (request: CallRequest | End) => {
    if (request.kind === 'end') process.exit();
    answer(request);
  });
  return {
    emit: (event, data) => {
      port.postMessage({ kind: 'event', event, data } satisfies Emitted);
    },
  };
}
