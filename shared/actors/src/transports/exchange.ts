import type { ForgeError } from '@forge/errors';
import type { CallRequest } from '../wire/call-request';
import type { Frame } from '../wire/frame';
import type { Deadline } from './deadlines';

/** Receiver of the answers to a call. */
export interface Waiter {
  onFrame(frame: Frame): void;
  /** Takes the reason why no answer comes any more. */
  onFailure(error: ForgeError): void;
}

/** A call under way. */
export interface Exchange {
  readonly id: number;
  readonly request: CallRequest;
  readonly waiter: Waiter;
  isSent: boolean;
  deadline?: Deadline;
  signal?: AbortSignal;
  onAbort?: () => void;
}
