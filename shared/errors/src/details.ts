import type { ErrorCode } from './codes';
import type { WireError } from './forge-error';

/** A value of JSON; undefined where a field is left out. */
export type JsonValue =
  null | undefined | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** Details of the codes that a program reads; all other codes take a record of JSON values. */
interface DeclaredDetails {
  CONFIG_PATH_UNUSABLE: SystemDetails;
  CONFIG_INVALID: { problems?: readonly string[]; [field: string]: unknown };
  CONFIG_TOKENIZER_INVALID: { file?: string; field?: string; found?: unknown; [field: string]: unknown };
  CONFIG_LOSS_INVALID: { path?: string; [field: string]: unknown };
  CONFIG_MODEL_UNSUPPORTED: {
    file?: string;
    field?: string;
    tensor?: string;
    found?: unknown;
    expected?: unknown;
  };
  CONTRACT_INVALID_MESSAGE: { what?: string; [field: string]: unknown };
  CONTRACT_UNSERIALIZABLE: { path?: string };
  CONTRACT_PROTOCOL_MISMATCH: { role?: string; version?: number; peerVersion?: unknown; what?: string };
  TRANSIENT_TIMEOUT: { actor?: string; endpoint?: string; timeoutMs?: number | undefined };
  TRANSIENT_REPLICA_LOST: { actor?: string; address?: string; pid?: number; why?: string };
  TRANSIENT_SESSION_LOST: { session?: string; replica?: number };
  CAPACITY_DISK_FULL: SystemDetails;
  CAPACITY_OPEN_FILES: SystemDetails;
  CAPACITY_QUEUE_FULL: { maxConcurrent?: number; maxQueued?: number };
  CAPACITY_FRAME_TOO_LARGE: {
    /** The group it would carry. */
    index?: number;
    sizeBytes?: number;
    limitBytes?: number;
    limitElements?: number;
  };
  CAPACITY_PROMPT_TOO_LONG: { tokens?: number; maxPositions?: number };
  BUG_ENDPOINT: { actor?: string; endpoint?: string; name?: string };
}

/** A refusal of the operating system. */
export interface SystemDetails {
  /** Its name for the reason, such as ENOSPC. */
  errno?: string;
  syscall?: string | undefined;
  path?: string | undefined;
}

/** Details that an error of any code gathers on its way. */
interface GatheredDetails {
  /** The fault in a word, as it is counted. */
  reason?: string;
  /** The endpoint that passed it on. */
  thrownBy?: string;
  failedRanks?: readonly number[];
  errors?: Readonly<Record<string, WireError>>;
  sampleId?: string;
  stack?: string | undefined;
  /** Items of a stream that came before it. */
  items?: number;
}

/** Every field may be missing: an error may come from a process of another version. */
export type DetailsOf<C extends ErrorCode> = C extends keyof DeclaredDetails
  ? Readonly<DeclaredDetails[C] & GatheredDetails>
  : Readonly<Record<string, JsonValue>>;

export type ErrorDetails = DetailsOf<ErrorCode>;
