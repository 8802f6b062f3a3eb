export { createEngine, type Engine, type EngineOptions, type HostTensor, type Session } from './session';
export {
  serveWorker,
  spawnWorker,
  Transfer,
  type WorkerApi,
  type WorkerCallOptions,
  type WorkerHandle,
} from './worker';
