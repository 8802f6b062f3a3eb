import { ERROR_CODES, type ErrorCode, type RetryClass } from './codes';

export type ErrorDetails = Readonly<Record<string, unknown>>;

/** The form in which an error crosses a process boundary. */
export interface WireError {
  code: ErrorCode;
  message: string;
  details: ErrorDetails;
}

/**
 * The one error of this code base. The message names the field, the value received, the bound and the way
 * out; `details` carries the same facts typed for a program.
 */
export class ForgeError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(
    code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
    options: { cause?: unknown } = {},
  ) {
    super(message, options);
    this.name = 'ForgeError';
    this.code = code;
    this.details = details;
  }

  get retryClass(): RetryClass {
    return ERROR_CODES[this.code];
  }

  get retryable(): boolean {
    return this.retryClass === 'transient';
  }

  toWire(): WireError {
    return { code: this.code, message: this.message, details: this.details };
  }

  static fromWire(wire: WireError): ForgeError {
    return wire.code in ERROR_CODES
      ? new ForgeError(wire.code, wire.message, wire.details)
      : new ForgeError('BUG_INVARIANT', wire.message, { ...wire.details, unknownCode: wire.code });
  }

  /** The error itself when it is one of ours; anything else is a bug, with the original as its cause. */
  static from(error: unknown): ForgeError {
    if (error instanceof ForgeError) return error;
    const message = error instanceof Error ? error.message : String(error);
    return new ForgeError('BUG_INVARIANT', message, {}, { cause: error });
  }
}
