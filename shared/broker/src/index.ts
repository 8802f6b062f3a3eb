export { readBacklog, type Backlog, type Waiting } from './jobs/backlog';
export { connectRedis, redisMemory, type ConnectOptions, type RedisMemory } from './redis/connection';
export { type LeasedBatch } from './streams/batch-stream';
export { DeadLetters, type Failure, type KeptLetter } from './refused/dead-letters';
export { type GroupOrigin, type GroupRecord, type GroupState } from './groups/group-record';
export { mailboxKeys, runKeys, CONSUMER_GROUP, type RunKeys } from './keys';
export { type Forgotten, type Ledger } from './groups/ledger';
export { type Lease, type LedgerSnapshot, type VersionRecord } from './groups/ledger-snapshot';
export { Mailbox, type Letter } from './streams/mailbox';
export { withoutPassword, withPasswordFrom } from './redis/redis-password';
export { provisionRedis, type ProvisionedRedis, type ProvisionOptions } from './redis/redis-server';
export { queueGauges } from './jobs/queue-gauges';
export { Registry } from './run/registry';
export { type Position, type Restart } from './run/resumption';
export { type RejectionPlace, type Refused, Rejections } from './refused/rejections';
export { RestartWindow } from './redis/restart-window';
export { openRolloutQueue } from './jobs/open-rollout-queue';
export type {
  Delivery,
  JobFailure,
  QueueLimits,
  QueueTiming,
  RolloutQueue,
  WorkOptions,
} from './jobs/rollout-queue';
export { expireRun, removeOrphans, removeRun } from './run/run-removal';
export type { Admission } from './groups/admission';
export { type JobStanding } from './jobs/job-standing';
export {
  MAX_REPLICAS,
  RunControls,
  type ControlOperation,
  type RestartRequest,
  type RunChanges,
  type RunSteering,
  type WantedProcesses,
} from './run/run-controls';
export type { RunBounds, RunSettings } from './run/run-bounds';
export { type BufferedGroup, type StreamedGroup } from './run/group-flow';
export { RunState, type RunPhase } from './run/run-state';
export {
  SessionDirectory,
  type GroupStanding,
  type OpenSession,
  type OwnedGroup,
  type SessionVerdict,
  type TakenGroup,
} from './sessions/session-directory';
export { hashOfKey, newSessionKey } from './sessions/session-key';
export { SpanLog } from './streams/span-log';
export { type TelemetryEntry } from './streams/telemetry-stream';
export { verifyLedger } from './groups/verify-ledger';
export { WeightSources, type OfferedWeights, type WeightHolder } from './run/weight-sources';
export {
  type AnnouncedWeights,
  type Rollback,
  type Wanted,
  type WeightsUse,
  type WeightVersions,
} from './streams/weight-versions';
export type { Redis } from 'ioredis';
