export {
  defineAlgorithm,
  type Advantage,
  type Algorithm,
  type AlgorithmDefinition,
  type AlgorithmFactory,
  type CriticOptions,
  type JudgedGroup,
} from './algorithms/algorithm';
export { policyAlgorithm, type PolicyOptions, type PolicyParts } from './algorithms/policy-algorithm';
export { cispo, cispoSurrogate, type CispoOptions } from './algorithms/cispo';
export { dapo, type DapoOptions } from './algorithms/dapo';
export { decoupledPpo, decoupledSurrogate, type DecoupledPpoOptions } from './algorithms/decoupled-ppo';
export { dppo, dppoSurrogate, type DppoOptions } from './algorithms/dppo';
export { drGrpo, type DrGrpoOptions } from './algorithms/dr-grpo';
export { dro, droSurrogate, type DroOptions } from './algorithms/dro';
export { gdpo, type GdpoOptions } from './algorithms/gdpo';
export { gmpo, gmpoSurrogate, type GmpoOptions } from './algorithms/gmpo';
export { grpo, grpoLoss, type GrpoLossOptions, type GrpoOptions } from './algorithms/grpo';
export { gspo, type GspoOptions } from './algorithms/gspo';
export { luspo, type LuspoOptions } from './algorithms/luspo';
export { maxrl, type MaxRlOptions } from './algorithms/maxrl';
export { opd, type OpdOptions } from './algorithms/opd';
export { opo, type OpoOptions } from './algorithms/opo';
export { passAtK, type PassAtKOptions } from './algorithms/pass-at-k';
export { reinforce, reinforceLoss, reinforceSurrogate, type ReinforceOptions } from './algorithms/reinforce';
export { reinforcePlusPlus, type ReinforcePlusPlusOptions } from './algorithms/reinforce-plus-plus';
export {
  reinforcePlusPlusBaseline,
  type ReinforcePlusPlusBaselineOptions,
} from './algorithms/reinforce-plus-plus-baseline';
export { greedyBaselineRollout, remax, type ReMaxOptions } from './algorithms/remax';
export { ppo, type PpoOptions } from './algorithms/ppo';
export { rloo, type RlooOptions } from './algorithms/rloo';
export { sapo, sapoSurrogate, type SapoOptions } from './algorithms/sapo';
export { simpleGrpoLoss } from './algorithms/simple-grpo';
export { vespo, vespoSurrogate, type VespoOptions } from './algorithms/vespo';
export { bestOfGroupAdvantage, type BestOfGroupOptions } from './advantages/best-of-group-advantage';
export {
  generalizedAdvantage,
  whitenChosen,
  type AdvantageEstimates,
  type ValuedTokens,
} from './advantages/generalized-advantage';
export { groupRelativeAdvantage, type GroupRelativeOptions } from './advantages/group-relative-advantage';
export { leaveOneOutAdvantage } from './advantages/leave-one-out-advantage';
export { lengthWeightedAdvantage } from './advantages/length-weighted-advantage';
export { maxRlAdvantage } from './advantages/max-rl-advantage';
export { perAgentAdvantage, type AgentBaselines } from './advantages/per-agent-advantage';
export { rewardToGo } from './advantages/reward-to-go';
export { teacherAdvantage, type TeacherOptions } from './advantages/teacher-advantage';
export { turnCredit } from './advantages/turn-credit';
export { whiten, type WhitenOptions } from './advantages/whiten';
export { shapeRewards, type ShapingOptions } from './shaping/shape-rewards';
export { componentRewards, type RewardWeights } from './shaping/component-rewards';
export { lengthPenalty, type LengthPenalty } from './shaping/length-penalty';
export { overlongPenalty, type OverlongPenalty } from './shaping/overlong-penalty';
export { Curriculum, type CurriculumOptions, type DrawResult } from './curriculum/curriculum';
export { lossResult, type Loss, type LossResult, type LossTerms } from './losses/loss';
export { checkLoss, checkLosses } from './losses/check-loss';
export {
  constantMean,
  sequenceMean,
  tokenMean,
  type BatchMean,
  type Normalization,
} from './losses/batch-mean';
export { policyLoss, type PolicyLossOptions, type Surrogate, type TokenLoss } from './losses/policy-loss';
export { correct, type Correction, type CorrectionOptions } from './losses/corrections/correction';
export { crossEntropyLoss, mixedLoss } from './losses/cross-entropy-loss';
export { valueLoss } from './losses/value-loss';
export { divergence, type DivergenceEstimator, type DivergenceOptions } from './losses/divergence';
export { entropyBonus, highEntropyMask, type EntropyBonus } from './losses/entropy';
export { k3 } from './losses/k3';
export {
  clippedImportanceWeight,
  importanceRatio,
  onPolicyRatio,
  truncatedImportanceWeight,
} from './losses/importance-ratio';
export { clippedSurrogate, type ClipRange } from './losses/clipped-surrogate';
export { clippedRatio, type ClipOptions } from './losses/clipped-ratio';
export { clippedSequenceRatio } from './losses/sequence-ratio';
export { finishMetrics, policyMetrics } from './losses/policy-metrics';
export {
  defaultRollout,
  type PolicyHandle,
  type ObserveReward,
  type RewardHandle,
  type Rollout,
  type RolloutContext,
  type RolloutRecord,
  type Score,
} from './rollouts/rollout';
export type {
  AnswerToParse,
  Bridge,
  BridgeRequest,
  ChatPolicy,
  GrowingAnswer,
  GrowingText,
  RenderRequest,
  SettledAnswer,
} from './conversation/chat-policy';
export { conversations, type ConversationSetting } from './conversation/conversations';
export type { Conversation, ConversationOptions, OpenConversation, Turn } from './conversation/conversation';
export { policyHandle, type NumberedCall, type PolicyHandleOptions } from './conversation/policy-handle';
export {
  AgentSession,
  type CallStore,
  type ConcludedSession,
  type SessionSetting,
} from './sessions/agent-session';
export { promptText } from './conversation/prompt-text';
export {
  defineEnvironment,
  type Environment,
  type EnvironmentOptions,
  type EnvironmentSet,
  type Observation,
  type Outcome,
  type Step,
  type StepScope,
} from './environments/environment';
export {
  environmentRollout,
  toolRollout,
  type EnvironmentRolloutOptions,
  type ToolRolloutOptions,
  type TurnBounds,
} from './environments/interactive-rollout';
export { calculator } from './environments/calculator';
export { faultOf, messageOf, type Party } from './environments/fault';
export { guessNumber, type GuessNumberOptions } from './environments/guess-number';
export { promptMessages } from './environments/prompt-messages';
export { seededRandom, type RolloutScope } from './environments/rollout-scope';
export { Slots } from './environments/slots';
export {
  defineTools,
  joinTools,
  parsedArguments,
  tool,
  toolText,
  type OpenTools,
  type RolloutTools,
  type Tool,
  type Tools,
  type ToolSet,
} from './environments/tools';
export { episode, episodeFromTurns, withReference, type ReferenceScore } from './rollouts/episode';
export { isUnjudged } from './rewards/unjudged';
export { wholeRollouts, worthsOfParts } from './rollouts/whole-rollouts';
export { chosenTokens } from './shaping/tokens';
export { combineRewards, type Reward, type RewardFactory } from './rewards/reward';
export { answerReward, type AnswerRewardOptions } from './rewards/answer-reward';
export { exactReward } from './rewards/exact-reward';
export { formatReward } from './rewards/format-reward';
export { jsonReward, type JsonRewardOptions } from './rewards/json-reward';
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
export { checkAlgorithm, checkEnvironment, checkReward, checkRollout, checkTools } from './check-user-module';
