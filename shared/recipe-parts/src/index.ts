export { loadAlgorithm, loadRewards, loadTask, pinnedTask } from './load-parts';
export { loadRollout } from './load-rollout';
export { datasetFolder } from './data/dataset-task';
