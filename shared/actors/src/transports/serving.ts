import { ForgeError } from '@forge/errors';
import type { CallRequest } from '../wire/call-request';
import { KIND, malformed, requestOf, type Frame } from '../wire/frame';
import type { FrameLink, LinkUser } from '../wire/frame-link';
import { CallCancellation } from './call-cancellation';
import type { Deadline, Deadlines } from './deadlines';
import { STREAM_WINDOW } from './item-stream';
import type { Handler, OnRefused } from './transport';

/** Longer messages of errors are cut off, so that an error can always be told. */
const MAX_MESSAGE_LENGTH = 64 * 1024;

/** A call that is being answered. */
interface Running {
  readonly id: number;
  readonly request: CallRequest;
  readonly cancellation: CallCancellation;
  deadline: Deadline | null;
  /** Items of a stream that may be sent. */
  credit: number;
  /** Goes on with a stream that waits for credit. */
  resume: (() => void) | null;
  /** The items of a stream. */
  iterator: AsyncIterator<unknown> | null;
}

/** The listener's side of a link: gives calls to the handler, and its answers back. */
export class Serving implements LinkUser {
  private readonly running = new Map<number, Running>();

  constructor(
    private readonly link: FrameLink,
    private readonly handler: Handler,
    private readonly deadlines: Deadlines,
    private readonly onEnded: (reason: ForgeError) => void,
    private readonly onRefused?: OnRefused,
  ) {
    link.handOver(this);
  }

  onFrame(frame: Frame): void {
    const [kind, id] = frame;
    switch (kind) {
      case KIND.call:
        void this.answer(this.start(id, requestOf(frame)));
        break;
      case KIND.stream:
        void this.answerStream(this.start(id, requestOf(frame)));
        break;
      case KIND.post:
        this.post(requestOf(frame));
        break;
      case KIND.cancel: {
        const { endpoint } = this.running.get(id)?.request ?? {};
        this.stop(id, new ForgeError('CANCELLED', `the call of ${endpoint} was cancelled by its caller`));
        break;
      }
      case KIND.credit:
        this.addCredit(id, frame[2]);
        break;
      case KIND.ping:
        this.link.send([KIND.pong, 0]);
        break;
      case KIND.pong:
        return;
      case KIND.bye:
        this.link.end(new ForgeError('TRANSIENT_REPLICA_LOST', 'the caller closed the connection'), false);
        return;
      default:
        throw malformed(`a frame of kind ${kind} to a listener`);
    }
    // A caller that sends and does not read its answers is not read from either.
    if (!this.link.hasRoom) this.link.setReading(false);
  }

  onRoom(): void {
    this.link.setReading(true);
  }

  onEnd(reason: ForgeError): void {
    for (const id of [...this.running.keys()]) this.stop(id, reason);
    this.onEnded(reason);
  }

  private start(id: number, request: CallRequest): Running {
    if (this.running.has(id)) throw malformed(`a second call ${id}`);
    const running: Running = {
      id,
      request,
      cancellation: new CallCancellation(),
      deadline: null,
      credit: STREAM_WINDOW,
      resume: null,
      iterator: null,
    };
    const { timeoutMs } = request;
    if (timeoutMs !== undefined)
      running.deadline = this.deadlines.set(timeoutMs, () => {
        this.stop(id, expired(request));
      });
    this.running.set(id, running);
    return running;
  }

  /** Stops a call whose answer is no longer wanted. */
  private stop(id: number, reason: ForgeError): void {
    const running = this.running.get(id);
    if (running === undefined) return;
    this.finish(running);
    running.cancellation.cancel(reason);
    // End the iteration, also while an item is waited for.
    void endIteration(running.iterator);
    running.resume?.();
  }

  private finish({ id, deadline }: Running): void {
    this.running.delete(id);
    if (deadline !== null) this.deadlines.withdraw(deadline);
  }

  private async answer(running: Running): Promise<void> {
    const { id, request, cancellation } = running;
    let frame: Frame;
    try {
      frame = [KIND.result, id, await this.handler.call(request, cancellation)];
    } catch (error) {
      frame = this.refusal(id, error);
    }
    this.reply(running, frame);
  }

  private async answerStream(running: Running): Promise<void> {
    const { id, request, cancellation } = running;
    let frame: Frame = [KIND.end, id];
    try {
      const iterator = this.handler.stream(request, cancellation)[Symbol.asyncIterator]();
      running.iterator = iterator;
      while (this.isWanted(running)) {
        if (running.credit === 0) {
          await new Promise<void>((resolve) => (running.resume = resolve));
          running.resume = null;
          continue;
        }
        const { done, value } = await iterator.next();
        if (done || !this.isWanted(running)) break;
        running.credit--;
        this.link.send([KIND.chunk, id, value]);
      }
    } catch (error) {
      frame = this.refusal(id, error);
      void endIteration(running.iterator);
    }
    this.reply(running, frame);
  }

  private isWanted(running: Running): boolean {
    return this.running.get(running.id) === running;
  }

  private post(request: CallRequest): void {
    // A post has no caller that could cancel it or be told that it failed.
    this.handler.call(request, new CallCancellation()).catch((error: unknown) => this.refusal(0, error));
  }

  private refusal(id: number, error: unknown): Frame {
    if (error instanceof ForgeError) this.onRefused?.(error);
    return errorFrame(id, error);
  }

  private addCredit(id: number, items: unknown): void {
    if (!Number.isInteger(items) || (items as number) < 1) throw malformed('a credit that is no count');
    const running = this.running.get(id);
    if (running === undefined) return;
    running.credit += items as number;
    running.resume?.();
  }

  /** Sends the last frame of a call, if it is still wanted. */
  private reply(running: Running, frame: Frame): void {
    if (!this.isWanted(running)) return;
    this.finish(running);
    try {
      this.link.send(frame);
    } catch (error) {
      // Answer a result that can't travel by the reason, and an error that can't by itself without details.
      const { code, message, details } = ForgeError.from(error);
      if (frame[0] === KIND.error) this.link.send([KIND.error, running.id, frame[2], frame[3], {}]);
      else this.link.send([KIND.error, running.id, code, `${running.request.endpoint}: ${message}`, details]);
    }
  }
}

function expired({ endpoint, timeoutMs }: CallRequest): ForgeError {
  const message = `the call of ${endpoint} reached its deadline`;
  return new ForgeError('TRANSIENT_TIMEOUT', message, { endpoint, timeoutMs });
}

/** A ForgeError as it is, one of the system as what it says about the environment; any other error is the endpoint's fault. */
function errorFrame(id: number, error: unknown): Frame {
  const known = ForgeError.from(error);
  const isBug = known.code === 'BUG_INVARIANT' && known !== error;
  const { code, message, details } = isBug ? new ForgeError('BUG_ENDPOINT', known.message) : known;
  return [KIND.error, id, code, message.slice(0, MAX_MESSAGE_LENGTH), details];
}

async function endIteration(iterator: AsyncIterator<unknown> | null): Promise<void> {
  try {
    await iterator?.return?.();
  } catch {
    // The iteration is given up already, and its caller is gone.
  }
}
