import { keepOnnxRuntimeQuiet } from '@forge/config';
import { spawnWorker, type WorkerApi, type WorkerHandle } from '@forge/threads';

/** A worker whose `open` resolves once it can be called. */
export interface OpeningApi extends WorkerApi {
  open: () => Promise<void>;
}

/**
 * Starts the thread an actor computes in. When it dies later on, so does the process: what the thread held is lost, and
 * the owner of the process replaces all of it.
 *
 * @throws {ForgeError} why it does not open; then the thread is gone.
 */
export async function openWorker<Api extends OpeningApi>(
  module: string,
  workerData: unknown,
): Promise<WorkerHandle<Api>> {
  keepOnnxRuntimeQuiet();
  // Engines read their settings from the environment of the process.
  const worker = spawnWorker<OpeningApi>(module, workerData, { sharesEnvironment: true });
  try {
    await worker.call('open', undefined);
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  void worker.failed.then((error) => {
    throw error;
  });
  return worker as unknown as WorkerHandle<Api>;
}
