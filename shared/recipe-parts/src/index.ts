export { loadAlgorithm, loadRewards, loadTask } from './load-parts';
