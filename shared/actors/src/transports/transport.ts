import type { ForgeError } from '@forge/errors';
import type { CallRequest } from '../wire/call-request';

/**
 * Place where a process answers calls, as a URL whose scheme names the transport: `inproc:NAME`, `unix:/PATH`,
 * `tcp://HOST:PORT`, `tls://HOST:PORT`, `redis:INBOX`.
 */
export type Address = string;

/**
 * Cancellation of a call whose caller cancels, gives up, or is gone. The signal is made when it is first asked for: making
 * one costs more than all the rest of a small call.
 */
export interface Cancellation {
  readonly isCancelled: boolean;
  readonly signal: AbortSignal;
}

/** The side of a process that answers calls. */
export interface Handler {
  call(request: CallRequest, cancellation: Cancellation): Promise<unknown>;
  /** An ended iteration of the caller is an ended iteration here. */
  stream(request: CallRequest, cancellation: Cancellation): AsyncIterable<unknown>;
}

export interface ChannelCallOptions {
  signal?: AbortSignal;
}

/**
 * The way to one process. Messages of a channel arrive in the order in which they were sent.
 *
 * Values are what msgpack carries: JSON, undefined, bigint, Date, Map, Set, typed arrays, Buffers. Anything else is
 * refused at the caller, and a result at the endpoint, with CONTRACT_UNSERIALIZABLE naming the path to it.
 */
export interface Channel {
  readonly address: Address;
  /**
   * @throws {ForgeError} what the endpoint threw; TRANSIENT_REPLICA_LOST when the peer was lost before it answered;
   *   TRANSIENT_TIMEOUT after `timeoutMs`; CANCELLED when the signal fired; CONTRACT_UNSERIALIZABLE;
   *   CAPACITY_FRAME_TOO_LARGE.
   */
  call(request: CallRequest, options?: ChannelCallOptions): Promise<unknown>;
  /** Items as the endpoint yields them, at most a window ahead of the consumer; `break` cancels the endpoint. */
  stream(request: CallRequest, options?: ChannelCallOptions): AsyncIterable<unknown>;
  /** Sends and forgets: no answer, no promise of delivery. */
  post(request: CallRequest): void;
  /** Resolves with the reason once the peer is lost or the channel closed; never rejects. */
  readonly lost: Promise<ForgeError>;
  close(): Promise<void>;
}

/** Is told why a peer was turned away, or a call refused. */
export type OnRefused = (why: ForgeError) => void;

export interface Listener {
  /** Address at which peers reach the listener. */
  readonly address: Address;
  /** Takes no more calls, and ends the ones under way. */
  close(): Promise<void>;
}

/** One way of carrying calls between processes. All of them pass `transportConformance`. */
export interface Transport {
  /** The schemes of the addresses it connects to. */
  readonly schemes: readonly string[];
  listen(handler: Handler, at?: Address, onRefused?: OnRefused): Promise<Listener>;
  /**
   * @throws {ForgeError} TRANSIENT_REPLICA_LOST when no process answers there; CONTRACT_PROTOCOL_MISMATCH when the peer
   *   speaks another version; CONTRACT_UNAUTHORIZED when it does not know our token.
   */
  connect(address: Address): Promise<Channel>;
}
