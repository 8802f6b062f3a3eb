export { parseHubName } from './hub-name';
export { HubRepository } from './hub-repository';
export { NO_REPOSITORY } from './refusal';
