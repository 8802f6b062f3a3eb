export {
  defineAlgorithm,
  type Advantage,
  type Algorithm,
  type AlgorithmDefinition,
  type AlgorithmFactory,
  type CriticOptions,
  type JudgedGroup,
} from './algorithms/algorithm';
export { grpo, grpoLoss, type GrpoLossOptions, type GrpoOptions } from './algorithms/grpo';
export { simpleGrpoLoss } from './algorithms/simple-grpo';
export { reinforce, reinforceLoss, type ReinforceOptions } from './algorithms/reinforce';
export { groupRelativeAdvantage } from './advantages/group-relative-advantage';
export { lossResult, type Loss, type LossResult, type LossTerms } from './losses/loss';
export { checkLoss } from './losses/check-loss';
export { sequenceMean, tokenMean } from './losses/batch-mean';
export { k3 } from './losses/k3';
export {
  clippedImportanceWeight,
  importanceRatio,
  onPolicyRatio,
  truncatedImportanceWeight,
} from './losses/importance-ratio';
export { clippedSurrogate, type ClipRange } from './losses/clipped-surrogate';
export { finishMetrics, policyMetrics } from './losses/policy-metrics';
export {
  defaultRollout,
  type PolicyHandle,
  type ObserveReward,
  type RewardHandle,
  type Rollout,
  type RolloutContext,
  type Score,
} from './rollouts/rollout';
export { episode, episodeFromTurns, withReference } from './rollouts/episode';
export { combineRewards, type Reward, type RewardFactory } from './rewards/reward';
export { answerReward, type AnswerRewardOptions } from './rewards/answer-reward';
export { exactReward } from './rewards/exact-reward';
export { formatReward } from './rewards/format-reward';
export { lengthReward } from './rewards/length-reward';
export { mathReward, parseAmount, type MathRewardOptions } from './rewards/math-reward';
export { thinkingReward, type ThinkingRewardOptions } from './rewards/thinking-reward';
export { wordsReward } from './rewards/words-reward';
export { formatPythonNumber, parsePythonFloat } from './rewards/python-float';
export type { SupervisedPair, Task } from './tasks/task';
export { arithmeticTask, type ArithmeticTaskOptions } from './tasks/arithmetic-task';
export type { Operator } from './tasks/operand-pairs';
export { jsonlTask, type JsonlTaskOptions, type SampleLine } from './tasks/jsonl-task';
export { promptsTask } from './tasks/prompts-task';
export { EpisodeBuffer, type EpisodeBufferOptions, type EpisodeBufferState } from './replay/episode-buffer';
export { checkAlgorithm, checkReward } from './check-user-module';
