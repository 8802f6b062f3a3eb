export type { AgentProgram, AgentReport } from './agent/agent-program';
export { loadAgent } from './load-agent';
export { loadAlgorithm, loadRewards, loadTask, pinnedTask } from './load-parts';
export { loadRollout } from './load-rollout';
export { rolloutProcesses, type RolloutProcesses } from './rollout-processes';
export { datasetFolder } from './data/dataset-task';
export { boundedText, mayPass, reasonOf } from './endpoint';
