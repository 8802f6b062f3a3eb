import { ForgeError } from '@forge/errors';
import type { MicroBatch } from './micro-batches';

type Grid = Pick<MicroBatch, 'distinct' | 'width'>;

/** The size of micro-batches that memory holds, as far as is known. */
export class MicroBatchSize {
  /** The most padded tokens that went through at once. */
  private fitted = 0;

  constructor(private most: number) {}

  /** Padded tokens of a micro-batch at most. */
  get tokens(): number {
    return this.most;
  }

  /** Takes note of a micro-batch that went through. */
  fits({ distinct: rows, width }: Grid): void {
    this.fitted = Math.max(this.fitted, rows * width);
  }

  /** Makes the size half that of a micro-batch that did not fit; false where that was a single episode. */
  halve({ distinct: rows, width }: Grid): boolean {
    if (rows === 1) return false;
    this.most = half(rows * width);
    return true;
  }

  /** The error of a micro-batch that does not fit, with what would. */
  refusal({ distinct: rows, width }: Grid, cause: ForgeError): ForgeError {
    const tokens = rows * width;
    const known = this.fitted > 0 && this.fitted < tokens ? this.fitted : half(tokens);
    const way =
      rows > 1
        ? `set trainer.microBatchTokens to ${known}${known === this.fitted ? ', which went through' : ''}, or trainer.recompute to true`
        : 'set trainer.recompute to true, or lower trainer.logitsChunk or the length of episodes';
    const what =
      rows > 1 ? `a micro-batch of ${rows} x ${width} tokens` : `a single episode of ${width} tokens`;
    const message = `${what} takes more memory than there is; ${way}: ${cause.message}`;
    return new ForgeError('CAPACITY_DEVICE_MEMORY', message, { rows, width, fitted: this.fitted }, { cause });
  }
}

const half = (tokens: number): number => Math.floor(tokens / 2);
