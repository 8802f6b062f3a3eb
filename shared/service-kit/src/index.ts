export { runService, type ServiceContext, type ServiceDefinition, type ServiceInstance } from './run-service';
