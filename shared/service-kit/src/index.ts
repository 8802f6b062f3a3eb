export { type CalledService } from './calls-made';
export { createHttpServer, type HttpLimits } from './http-server';
export { listenAt, type ListenOptions } from './listen-at';
export { runService, type ServiceContext, type ServiceDefinition, type ServiceInstance } from './run-service';
export { replicaDirectory } from './replica-directory';
export { SpanFile } from './span-file';
export { queueLimits, runBounds } from './run-limits';
