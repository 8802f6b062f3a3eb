export { isCommit, parseHubName, type HubName } from './hub-name';
export { HubRepository } from './hub-repository';
export { NO_REPOSITORY } from './refusal';
