export {
  batched,
  connectService,
  type CallOptions,
  type ConnectOptions,
  type ServiceHandle,
} from './service-handle';
export { serveEndpoints, type Endpoints } from './serve-endpoints';
export { MAX_BODY_BYTES } from './message-limit';
export { InProcessTransport } from './transports/in-process';
export { SocketTransport, type SocketTransportOptions } from './transports/socket';
export type { HeartbeatTiming } from './transports/heartbeat';
export type {
  Address,
  CallRequest,
  Cancellation,
  Channel,
  ChannelCallOptions,
  Handler,
  Listener,
  Transport,
} from './transport';
export { RedisTransport, type RedisTransportOptions } from './transports/redis';
