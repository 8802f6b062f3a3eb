export { connectRedis, withoutPassword, type ConnectOptions } from './connection';
export { mailboxKeys, runKeys, CONSUMER_GROUP, type RunKeys } from './keys';
export { Mailbox, type Letter } from './mailbox';
export { provisionRedis, type ProvisionedRedis, type ProvisionOptions } from './redis-server';
export { Registry, type CallsMade, type Replica } from './registry';
export { RestartWindow } from './restart-window';
export { RolloutQueue, type QueueTiming, type WorkOptions } from './rollout-queue';
export {
  RunState,
  type Admission,
  type BufferedGroup,
  type LeasedBatch,
  type Ledger,
  type RunBounds,
  type RunPhase,
  type RunSettings,
  type StreamedGroup,
} from './run-state';
export type { Redis } from 'ioredis';
