interface FaultOptions {
  /** Whether the server may be another process by now, with other weights. */
  isLost?: boolean;
  /** Whether it failed at this request, and may do others. */
  isOfRequest?: boolean;
  /** The time that it asks to wait. */
  delayMs?: number | null;
}

/** A failure of a server that may pass. */
export class ServerFault extends Error {
  readonly isLost: boolean;
  readonly isOfRequest: boolean;
  readonly delayMs: number | null;

  constructor(reason: string, { isLost = false, isOfRequest = false, delayMs = null }: FaultOptions = {}) {
    super(reason);
    this.isLost = isLost;
    this.isOfRequest = isOfRequest;
    this.delayMs = delayMs;
  }
}
