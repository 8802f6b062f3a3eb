export {
  answerCalls,
  Calls,
  Transfer,
  type CallReply,
  type CallRequest,
  type WorkerApi,
  type WorkerCallOptions,
} from './calls';
export { compiledPath, serveWorker, spawnWorker, type WorkerHandle } from './worker';
export { bundleDirectory, bundleOf } from './bundle-of';
