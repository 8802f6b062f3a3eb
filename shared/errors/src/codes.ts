/**
 * Every error code, with the retry class it belongs to. `docs/errors.md` says what to do about each;
 * a test keeps the two equal.
 *
 * - `fatal`:     the caller or operator must change something; a retry gives the same error.
 * - `transient`: the same call may succeed later; retry with backoff.
 * - `stale`:     the work is no longer wanted; drop it and count it.
 * - `bug`:       an invariant of ours is broken; crash loudly.
 */
export const ERROR_CODES = {
  CONFIG_INVALID: 'fatal',
  CONFIG_FILE_UNREADABLE: 'fatal',
  CONFIG_PATH_UNUSABLE: 'fatal',
  CONFIG_MODULE_UNLOADABLE: 'fatal',
  CONFIG_LOSS_INVALID: 'fatal',
  CONFIG_MODEL_MISSING: 'fatal',
  CONFIG_MODEL_UNSUPPORTED: 'fatal',
  CONFIG_TOKENIZER_INVALID: 'fatal',
  CONFIG_DATASET_INVALID: 'fatal',
  CONFIG_ACTOR_UNLOADABLE: 'fatal',
  CONTRACT_INVALID_MESSAGE: 'fatal',
  CONTRACT_UNKNOWN_ENDPOINT: 'fatal',
  CONTRACT_INVALID_CALL: 'fatal',
  CONTRACT_UNSERIALIZABLE: 'fatal',
  CONTRACT_PROTOCOL_MISMATCH: 'fatal',
  CONTRACT_UNAUTHORIZED: 'fatal',
  CONTRACT_WEIGHTS_CORRUPT: 'fatal',
  CONTRACT_CANARY_MISMATCH: 'fatal',
  CONTRACT_DOWNLOAD_CORRUPT: 'fatal',
  CONTRACT_JUDGE_UNREADABLE: 'fatal',
  CONTRACT_GENERATOR_UNREADABLE: 'fatal',
  SHAPE_MISMATCH: 'fatal',
  NUMERIC_NON_FINITE: 'fatal',
  NUMERIC_LIMIT_EXCEEDED: 'fatal',
  NUMERIC_DEVICE_WRONG: 'fatal',
  STALE_EPISODE: 'stale',
  STALE_EPOCH: 'stale',
  STALE_WEIGHTS: 'stale',
  TRANSIENT_REDIS_UNREACHABLE: 'transient',
  TRANSIENT_INDEX_UNREACHABLE: 'transient',
  TRANSIENT_HUB_UNREACHABLE: 'transient',
  TRANSIENT_JUDGE_UNREACHABLE: 'transient',
  TRANSIENT_GENERATOR_UNREACHABLE: 'transient',
  TRANSIENT_GENERATOR_FAILED: 'transient',
  TRANSIENT_ENVIRONMENT_FAILED: 'transient',
  TRANSIENT_SERVICE_UNAVAILABLE: 'transient',
  TRANSIENT_TIMEOUT: 'transient',
  TRANSIENT_REPLICA_LOST: 'transient',
  TRANSIENT_SESSION_LOST: 'transient',
  TRANSIENT_DEVICE_LOST: 'transient',
  CAPACITY_EXCEEDED: 'transient',
  CAPACITY_QUEUE_FULL: 'transient',
  CAPACITY_OPEN_FILES: 'transient',
  CAPACITY_ENVIRONMENT_FULL: 'transient',
  CAPACITY_DISK_FULL: 'fatal',
  CAPACITY_FRAME_TOO_LARGE: 'fatal',
  CAPACITY_GPUS: 'fatal',
  CAPACITY_DEVICE_MEMORY: 'fatal',
  CAPACITY_MODEL_TOO_LARGE: 'fatal',
  CAPACITY_PROMPT_TOO_LONG: 'fatal',
  CAPACITY_SESSION_LIMIT: 'fatal',
  ENGINE_NOT_INSTALLED: 'fatal',
  ENGINE_UNSUPPORTED: 'fatal',
  ENGINE_BUILD_FAILED: 'fatal',
  CONFLICT_STATE: 'fatal',
  CONFLICT_SESSION_OVER: 'fatal',
  CANCELLED: 'fatal',
  BUG_ENDPOINT: 'bug',
  BUG_INVARIANT: 'bug',
} as const satisfies Record<string, RetryClass>;

export type RetryClass = 'fatal' | 'transient' | 'stale' | 'bug';
export type ErrorCode = keyof typeof ERROR_CODES;
