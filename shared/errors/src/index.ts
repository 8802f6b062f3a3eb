export { ERROR_CODES, type ErrorCode, type RetryClass } from './codes';
export { type DetailsOf, type ErrorDetails, type JsonValue } from './details';
export { ForgeError, type WireError } from './forge-error';
export { within } from './within';
