export { chatMessageSchema, sampleSchema, type ChatMessage, type Sample } from './sample';
export { samplingSchema, type Sampling } from './sampling';
export { completionSchema, type Completion } from './completion';
export {
  episodeSchema,
  groupSchema,
  episodeVersion,
  newestVersion,
  oldestVersion,
  versionsOf,
  type Episode,
  type Group,
} from './episode';
export {
  rolloutJobSchema,
  batchSchema,
  deadLetterSchema,
  telemetryEventSchema,
  type RolloutJob,
  type Batch,
  type DeadLetter,
  type TelemetryEvent,
} from './messages';
export {
  weightHashesSchema,
  weightsAnnouncementSchema,
  weightsManifestSchema,
  weightsOriginSchema,
  type WeightHashes,
  type WeightsAnnouncement,
  type WeightsManifest,
  type WeightsOrigin,
} from './weights';
export { encode, decode, check } from './codec';
