import { ERROR_CODES, type ErrorCode, type RetryClass } from './codes';
import type { DetailsOf, ErrorDetails } from './details';
import { systemErrorOf } from './system-error';

/** The form in which an error crosses a process boundary. */
export interface WireError {
  code: ErrorCode;
  message: string;
  details: ErrorDetails;
}

/**
 * The one error of this code base. The message names the field, the value received, the bound and the way
 * out; `details` carries the same facts for a program, typed once `is` has told the code.
 */
export class ForgeError<C extends ErrorCode = ErrorCode> extends Error {
  readonly code: C;
  readonly details: DetailsOf<C>;

  constructor(
    code: C,
    message: string,
    details: DetailsOf<C> = {} as DetailsOf<C>,
    options: { cause?: unknown } = {},
  ) {
    super(message, options);
    this.name = 'ForgeError';
    this.code = code;
    this.details = details;
  }

  /** Whether it has this code, and with it the details of that code. */
  is<K extends ErrorCode>(code: K): this is ForgeError<K> {
    return (this.code as ErrorCode) === code;
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

  static fromWire({ code, message, details }: WireError): ForgeError {
    if (Object.hasOwn(ERROR_CODES, code)) return new ForgeError(code, message, details);
    const kept: ErrorDetails = { ...details, unknownCode: code };
    return new ForgeError<ErrorCode>('BUG_INVARIANT', message, kept);
  }

  /**
   * The error itself when it is one of ours; one of the operating system as what it says about the environment; anything
   * else is a bug. The original is the cause.
   */
  static from(error: unknown): ForgeError {
    if (error instanceof ForgeError) return error;
    const system = systemErrorOf(error);
    if (system !== null) return new ForgeError(system.code, system.message, system.details, { cause: error });
    const message = error instanceof Error ? error.message : String(error);
    return new ForgeError('BUG_INVARIANT', message, {}, { cause: error });
  }
}
