export type { AgentProgram, AgentReport } from './agent/agent-program';
export { loadAgent } from './load-agent';
export { loadAlgorithm, loadRewards, loadTask, pinnedTask } from './load-parts';
export { loadRollout } from './load-rollout';
export { datasetFolder } from './data/dataset-task';
