export {
  ADAPTER_TARGETS,
  adapterSchema,
  seededAdapterSchema,
  type AdapterConfig,
  type SeededAdapter,
} from './adapter';
export {
  recipeSchema,
  candidatesPerBatch,
  refillPerBatch,
  AGENT_REWARD,
  fullReward,
  usesCritic,
  usesReference,
  type Recipe,
} from './recipe';
export { sftRecipeSchema, type SftRecipe } from './sft-recipe';
export { section } from './sections';
export { taskSchema, type DatasetTaskConfig, type TaskConfig } from './task';
export { overrideForResume } from './resume-overrides';
export { keepCheckpoints, publishDtype, rollbackFields, trainerFields, type TrainerConfig } from './trainer';
export { scorerFields, workerFields } from './worker';
export {
  engineOfReplica,
  generationServer,
  type GenerationEngine,
  type GenerationServer,
} from './generation-server';
export {
  ALGORITHM_NAMES,
  algorithmSchema,
  type AlgorithmConfig,
  type AlgorithmInput,
  type AlgorithmName,
  type GrpoConfig,
  type ReinforceConfig,
} from './algorithm';
export {
  rewardModelOf,
  rewardName,
  rewardSchema,
  rewardTimeoutMs,
  withRewardModel,
  type RewardConfig,
  type RewardInput,
  type RewardModelConfig,
} from './reward';
export {
  environmentName,
  hasOwnRollout,
  hasTurns,
  needsGateway,
  rolloutSchema,
  type EnvironmentConfig,
  type RolloutConfig,
  type ToolsConfig,
  type Truncated,
} from './rollout';
export type { OpenEnvConfig } from './openenv';
export { parseConfig } from './issues';
export {
  loadRecipe,
  loadSftRecipe,
  parseResolvedRecipe,
  storedRecipe,
  recipeToYaml,
  type RecipeSource,
} from './load-recipe';
export {
  actorEnvironment,
  commandEnvironment,
  actorSecurity,
  agentAddresses,
  type ActorSecurity,
  childEnvironment,
  cliEnvironment,
  visibleGpus,
  serviceEnvironment,
  type ServiceEnvironment,
  stackEnvironment,
  type StackEnvironment,
} from './environment';
export {
  dashboardChildEnvironment,
  dashboardEnvironment,
  type DashboardEnvironment,
} from './dashboard-environment';
export {
  serveChildEnvironment,
  gatewayToken,
  serveEnvironment,
  servesModel,
  type ServeEnvironment,
  type ServeSettings,
} from './serve-environment';
export { hubEnvironment, type HubEnvironment } from './hub-environment';
export { mlflowEnvironment, type MlflowEnvironment } from './mlflow-environment';
export { sinkSchema, type SinkConfig } from './sink';
export { meteringEnvironment, type MeteringEnvironment } from './metering-environment';
export {
  compilerCommand,
  enginesEnvironment,
  probeEnvironment,
  torchEnvironment,
  torchPython,
  type EnginesEnvironment,
} from './engines-environment';
export { namedSecret } from './secret-file';
export { packageIndexUrl } from './package-index-url';
export { keepOnnxRuntimeQuiet } from './onnx-runtime';
export { prepareTensorflow, type TensorflowSettings } from './tensorflow-runtime';
export { parseRunChanges, type RunChangesInput } from './run-changes';
export { importModule, loadModule } from './load-module';
export { hashFiles, linesOf, readText, type ReadTextOptions } from './read-text';
export { tracingEnvironment, type TracingEnvironment } from './tracing-environment';
export { recipeDocs } from './recipe-docs';
export { nearest } from './suggestion';
