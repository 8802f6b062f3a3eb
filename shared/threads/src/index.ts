export {
  serveWorker,
  spawnWorker,
  Transfer,
  type WorkerApi,
  type WorkerCallOptions,
  type WorkerHandle,
} from './worker';
export { bundleDirectory, bundleOf } from './bundle-of';
