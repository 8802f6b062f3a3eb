export {
  chatMessageSchema,
  chatMessagesSchema,
  FORK_REASONS,
  forkReasonSchema,
  toolCallSchema,
  toolSpecSchema,
  toolSpecsSchema,
  type ChatMessage,
  type ForkReason,
  type ToolCall,
  type ToolSpec,
} from './chat-message';
export { promptSchema, sampleSchema, type Prompt, type Sample } from './sample';
export { samplingSchema, type Sampling } from './sampling';
export { completionSchema, type Completion } from './completion';
export {
  episodeSchema,
  groupSchema,
  episodeVersion,
  tokenIdsSchema,
  newestVersion,
  oldestVersion,
  rolloutEndSchema,
  versionsOf,
  type Episode,
  type Group,
  type RolloutEnd,
} from './episode';
export { replicaSchema, type CallsMade, type Replica } from './replica';
export { rolloutsOf } from './rollout-parts';
export { scoreItemsSchema, scoreResultsSchema, type ScoreItem } from './scoring';
export {
  keptCallSchema,
  sessionAnswerSchema,
  sessionCallSchema,
  type KeptCall,
  type SessionAnswer,
  type SessionCall,
} from './session';
export { shownMessageSchema, type ShownMessage } from './shown-message';
export {
  rolloutJobSchema,
  batchSchema,
  deadLetterSchema,
  telemetryEventSchema,
  SHOWN_COMPLETIONS,
  SHOWN_MESSAGES,
  SHOWN_TOKENS,
  type ShownTokens,
  type RolloutJob,
  type Batch,
  type DeadLetter,
  type TelemetryEvent,
} from './messages';
export { evaluationJobs } from './evaluation-jobs';
export {
  metricReportSchema,
  metricStateSchema,
  reduceSchema,
  type MetricReport,
  type MetricState,
  type Reduction,
} from './recorded-metrics';
export { boundOf, storedBound, storedBoundSchema, type StoredBound } from './staleness-bound';
export { distantMessages, SCHEMA_VERSION, schemaVersion } from './schema-version';
export { rolloutShare, stepProgressSchema, stepShare, type StepProgress } from './step-progress';
export { traceOriginSchema, traceparentSchema, type TraceOrigin } from './trace-origin';
export {
  weightHashesSchema,
  canarySchema,
  type Canary,
  weightsAnnouncementSchema,
  weightsManifestSchema,
  weightsOriginSchema,
  type WeightHashes,
  type WeightsAnnouncement,
  type WeightsManifest,
  type WeightsOrigin,
} from './weights';
export { carriedWorth, carriedWorthsSchema, worthSchema, type CarriedWorth, type Worth } from './worth';
export { WIRE_MESSAGES, wireSchema, type WireMessage } from './wire-messages';
export { checkSpanLine } from './span-line';
export { encode, decode, check, invalidMessage, MAX_MESSAGE_BYTES, type MessageFault } from './codec';
export { MAX_REWARD, MAX_TOKENS } from './bounded';
export { unwritableIn, type Unwritable } from './msgpack/unwritable';
export { EXTENSION, MAX_ELEMENTS, MsgpackFault, type Binary, type ValueBounds } from './msgpack/value-format';
export { ValueReader } from './msgpack/value-reader';
export { ValueWriter } from './msgpack/value-writer';
export { runPaths, type RunPaths } from './run-paths';
export {
  PIPELINE,
  SCALABLE_SERVICES,
  SERVICES,
  SINGLE_SERVICES,
  type PipelineLink,
  type ServiceName,
} from './services';
