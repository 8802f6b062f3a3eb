export { connectService, type ConnectOptions } from './service/connect-service';
export type { DeployedReplica, ReplicaDirectory } from './service/deployed-replicas';
export { serveActor, type ServableActor, type ServedActor } from './mesh/serve-actor';
export { streamFrom, type DeployedActor } from './mesh/deployed-actor';
export { batched } from './service/batched';
export { InProcessTransport } from './transports/in-process';
export { SocketTransport, type SocketTransportOptions } from './transports/socket';
export type { HeartbeatTiming } from './transports/heartbeat';
export type {
  Address,
  Cancellation,
  Channel,
  ChannelCallOptions,
  Handler,
  Listener,
  Transport,
} from './transports/transport';
export type { CallRequest } from './wire/call-request';
export { RedisTransport, type RedisTransportOptions } from './transports/redis';
export { ForgeActor } from './forge-actor';
export { type ActorClass } from './actor/actor-base';
export { endpoint, type EndpointOptions } from './actor/endpoint';
export { callContext, runMain, type CallContext } from './actor/call-context';
export { Host, inProcessHost, LocalHost, thisHost } from './hosts/host';
export { HostMesh } from './hosts/host-mesh';
export { connectHost, hostsFromEnvironment, type RemoteHost } from './hosts/remote-host';
export { serveHost, type ServedHost, type ServeHostOptions } from './hosts/serve-host';
export { type HostDescription } from './hosts/host-agent';
export { type ActorProcess } from './process/actor-process';
export { GovernedProcess, type ProcessControl } from './process/governed-process';
export { thisProc, type ProcMesh, type SpawnProcsOptions } from './mesh/proc-mesh';
export { type ActorMesh } from './mesh/actor-mesh';
export { PartialFailure, ValueMesh } from './mesh/value-mesh';
export { type Dimensions, type Selection } from './actor/extent';
export { GpuPool } from './hosts/gpu-pool';
export { setUnhandledFaultHook, type Failure, type StopOptions, type Supervise } from './actor/supervision';
export { spawnService, shutdownService, listServices } from './service/spawn-service';
export { type Service, type ReplicaStatus } from './service/service';
export { type Session, type SessionOptions } from './service/session';
export { type ServiceOptions, type ServiceConfig } from './service/service-options';
export { type ServiceEvents } from './service/service-events';
export { type ServiceMetrics, type ReplicaMetricsSummary } from './service/service-metrics';
export { type ReplicaState } from './service/replica';
export { type Candidate, type RoutedCall, type Router, type RouterName } from './service/routers';
export { type ActorBlueprint, type ActorOptions } from './blueprint';
export { useTransport } from './transports/connections';
export { makeSocketDirectory } from './transports/socket-directory';
