export { runService, type ServiceContext, type ServiceDefinition, type ServiceInstance } from './run-service';
export { loadAlgorithm, loadRewards, loadTask } from './run-parts';
