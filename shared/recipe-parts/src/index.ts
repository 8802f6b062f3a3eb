export { loadAlgorithm, loadRewards, loadTask, pinnedTask } from './load-parts';
export { datasetFolder } from './data/dataset-task';
