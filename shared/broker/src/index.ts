export { readBacklog, type Backlog, type Waiting } from './backlog';
export { connectRedis, redisMemory, type ConnectOptions, type RedisMemory } from './connection';
export { type LeasedBatch } from './batch-stream';
export { DeadLetters, type Failure, type KeptLetter } from './dead-letters';
export { type GroupOrigin, type GroupRecord, type GroupState } from './group-record';
export { mailboxKeys, runKeys, CONSUMER_GROUP, type RunKeys } from './keys';
export { type Forgotten, type Ledger } from './ledger';
export { type Lease, type LedgerSnapshot, type VersionRecord } from './ledger-snapshot';
export { Mailbox, type Letter } from './mailbox';
export { withoutPassword, withPasswordFrom } from './redis-password';
export { provisionRedis, type ProvisionedRedis, type ProvisionOptions } from './redis-server';
export { queueGauges } from './queue-gauges';
export { Registry, type CallsMade, type Replica } from './registry';
export { type Position, type Restart } from './resumption';
export { type RejectionPlace, type Refused, Rejections } from './rejections';
export { RestartWindow } from './restart-window';
export {
  RolloutQueue,
  type Delivery,
  type JobFailure,
  type QueueLimits,
  type QueueTiming,
  type WorkOptions,
} from './rollout-queue';
export { expireRun, removeOrphans, removeRun } from './run-removal';
export type { Admission } from './admission';
export { type JobStanding } from './job-standing';
export {
  MAX_REPLICAS,
  RunControls,
  type ControlOperation,
  type RestartRequest,
  type RunChanges,
  type RunSteering,
  type WantedProcesses,
} from './run-controls';
export type { RunBounds, RunSettings } from './run-bounds';
export { RunState, type BufferedGroup, type RunPhase, type StreamedGroup } from './run-state';
export { SpanLog } from './span-log';
export { type TelemetryEntry } from './telemetry-stream';
export { verifyLedger } from './verify-ledger';
export {
  type AnnouncedWeights,
  type Rollback,
  type Wanted,
  type WeightsUse,
  type WeightVersions,
} from './weight-versions';
export type { Redis } from 'ioredis';
