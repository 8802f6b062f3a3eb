export { ERROR_CODES, type ErrorCode, type RetryClass } from './codes';
export { ForgeError, type ErrorDetails, type WireError } from './forge-error';
export { within } from './within';
