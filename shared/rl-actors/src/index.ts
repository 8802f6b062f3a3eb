export { Policy } from './policy/policy';
export { rolloutPolicy, type PolicyEndpoints } from './policy/rollout-policy';
export { type PolicyConfig, type SamplingOverrides, type WorkerConfig } from './policy/policy-config';
export { ReferenceModel, type ReferenceConfig } from './reference/reference-model';
export { Reward, type RewardActorConfig } from './reward/reward';
export { AgentSessions, type LiveSessions, type PolicyTexts } from './sessions/agent-sessions';
export { openRewards, type OpenRewards } from './reward/open-rewards';
export { type ScoreResult } from './reward/score';
export { EpisodeBuffer, type EpisodeBufferConfig } from './episode-buffer/episode-buffer';
export { Trainer } from './trainer/trainer';
export { type ResumePoint, type TrainerConfig } from './trainer/trainer-config';
export { type TrainedStep } from './trainer/training';
export {
  checkModel,
  readCheckpoint,
  writeCheckpoint,
  type Checkpoint,
  type RunPosition,
} from './checkpoint/checkpoint';
export { Checkpoints, type PassedOver } from './checkpoint/checkpoints';
export { checkRun, findResumePoint, type ResumeOptions } from './checkpoint/resume-point';
export { type LagStatistics } from './trainer/lag';
export { Recorder } from './record/recorder';
export { TrainingRecord } from './record/training-record';
export { replay, type ReplayedStep, type ReplayOptions } from './record/replay';
export { Dataset, type DatasetConfig, type DatasetState } from './dataset/dataset';
export { ComputeAdvantages, type AdvantagesConfig } from './advantages/compute-advantages';
export { type TrainingEpisode } from './training-episode';
export { type ServiceConfig } from '@forge/actors';
export { HostWeights } from './weights-exchange/host-weights';
export { WeightsOffer } from './weights-exchange/weights-offer';
export { onMicroBatches, type MicroBatches } from './trainer/micro-batches';
