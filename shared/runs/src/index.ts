export { duration } from './duration';
export { isSlowStep, stepProgressWords } from './step-progress-words';
export { findLine, GrowingFile, linesInParts, newestLines, type NewLines } from './growing-file';
export { isAlive, processMark } from './is-alive';
export { keptWeights, runWeights, type KeptWeights } from './kept-weights';
export { readLiveRun, type LiveRun, type SeenReplica } from './read-live-run';
export { readablePayload } from './readable-payload';
export { rolloutHistory, type RolloutHistory } from './rollout-history';
export { redisUrlOf, withRun, type RunAccess } from './run-access';
export { whenProcessesEnded } from './run-processes';
export {
  checkpointSteps,
  claimRun,
  createRunDirectory,
  directoryBytes,
  findRunRecord,
  listRunRecords,
  listRuns,
  newRunId,
  readRun,
  readSummary,
  writeRunConfig,
  writeRunRecord,
  type RunEntry,
  type RunRecord,
} from './run-directory';
