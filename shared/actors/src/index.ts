export {
  batched,
  connectService,
  type CallOptions,
  type ConnectOptions,
  type ServiceHandle,
} from './service-handle';
export { serveEndpoints, type Endpoints } from './serve-endpoints';
export { MAX_BODY_BYTES } from './message-limit';
