export { loadAlgorithm, loadRewards, loadTask, withDataHashes } from './load-parts';
