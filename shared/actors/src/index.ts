export { connectService, type ConnectOptions } from './service/connect-service';
export type { DeployedReplica, ReplicaDirectory } from './service/deployed-replicas';
export { serveActor, type ServableActor, type ServedActor } from './serve-actor';
export { batched } from './batched';
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
export { ForgeActor, type ActorClass, type Failure } from './actor';
export { endpoint, type EndpointOptions } from './endpoint';
export { callContext, runMain, type CallContext } from './call-context';
export { Host, inProcessHost, LocalHost, thisHost } from './host';
export { HostMesh } from './host-mesh';
export { connectHost, hostsFromEnvironment, type RemoteHost } from './hosts/remote-host';
export { serveHost, type ServedHost, type ServeHostOptions } from './hosts/serve-host';
export { type HostDescription } from './hosts/host-agent';
export { type ActorProcess } from './actor-process';
export { GovernedProcess, type ProcessControl } from './governed-process';
export {
  thisProc,
  type ProcMesh,
  type SpawnProcsOptions,
  type StopOptions,
  type Supervise,
} from './proc-mesh';
export { type ActorMesh } from './actor-mesh';
export { PartialFailure, ValueMesh } from './value-mesh';
export { type Dimensions, type Selection } from './extent';
export { GpuPool } from './provisioner';
export { setUnhandledFaultHook } from './supervision';
export { spawnService, shutdownService, listServices } from './service/spawn-service';
export { type Service, type ReplicaStatus } from './service/service';
export { type Session, type SessionOptions } from './service/session';
export { type ServiceOptions, type ServiceConfig } from './service/service-options';
export { type ServiceEvents } from './service/service-events';
export { type ServiceMetrics, type ReplicaMetricsSummary } from './service/service-metrics';
export { type ReplicaState } from './service/replica';
export { type Candidate, type RoutedCall, type Router, type RouterName } from './service/routers';
export { type ActorBlueprint, type ActorOptions } from './blueprint';
export { useTransport } from './connections';
