export { batched, connectService, type CallOptions, type ConnectOptions, type ServiceHandle } from './service-handle';
export { MAX_BODY_BYTES, serveEndpoints, type Endpoints } from './serve-endpoints';
