import { ForgeError, within } from '@forge/errors';
import type { ActorBase, ActorClass } from '../actor/actor-base';
import { bear, type Birth } from '../actor/birth';
import { runInScope } from '../actor/call-context';
import { endpointsOf, resolveEndpoint, type Endpoint } from '../actor/endpoint';
import { Owner, type Failure } from '../actor/supervision';
import type { Cancellation } from '../transports/transport';
import type { CallRequest } from '../wire/call-request';
import { EndpointContext } from './endpoint-context';
import { Mailbox } from './mailbox';
import { ServerSpan } from './tracing';

/** Marks a message without an answer: an unexpected exception then goes to supervision. */
export const POSTED = 'forge-posted';

/** One living actor: its instance, its mailbox, what it owns. */
export class ActorCell {
  readonly name: string;
  private readonly mailbox = new Mailbox();
  private readonly endpoints: ReadonlyMap<string, Endpoint>;
  private readonly owner: Owner;
  private readonly signalsInUse = new Set<EndpointContext>();
  private instance: ActorBase | null = null;
  private hasStopped = false;

  constructor(
    private readonly actorClass: ActorClass,
    private readonly birth: Birth,
    private readonly fail: (failure: Failure) => void,
  ) {
    this.name = birth.name;
    this.endpoints = endpointsOf(actorClass);
    const decide = (failure: Failure): boolean | Promise<boolean> => {
      const { instance } = this;
      return instance === null ? false : runInScope(this.owner, null, () => instance.supervise(failure));
    };
    this.owner = new Owner(this.name, decide, fail);
  }

  /** @throws {ForgeError} what constructor or `setup` threw. */
  async start(args: readonly unknown[]): Promise<void> {
    try {
      await runInScope(this.owner, null, async () => {
        const construct = this.actorClass as new (...args: readonly unknown[]) => ActorBase;
        this.instance = bear(this.birth, () => new construct(...args));
        await this.instance.setup();
      });
    } catch (error) {
      await this.owner.close();
      throw endpointError(error, this.name, 'setup');
    }
  }

  call(request: CallRequest, cancellation: Cancellation): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const endpoint = this.resolve(request, false);
      const context = new EndpointContext(request, cancellation, this.signalsInUse);
      const span = ServerSpan.start(this.name, request.endpoint, request.headers);
      const succeed = (result: unknown): void => {
        context.close();
        span.end();
        resolve(result);
      };
      const fail = (thrown: unknown): void => {
        context.close();
        const error = endpointError(thrown, this.name, request.endpoint);
        span.fail(error);
        if (isUnexpected(thrown) && isUnheard(request, cancellation)) this.fail({ name: this.name, error });
        reject(error);
      };
      let hasWaited = false;
      this.mailbox.add(endpoint.concurrent, () => {
        try {
          if (hasWaited) this.refuseLate(request, cancellation);
          const result = span.run(() => this.run(endpoint, request, context));
          if (isThenable(result)) return Promise.resolve(result).then(succeed, fail);
          succeed(result);
        } catch (thrown) {
          fail(thrown);
        }
        return undefined;
      });
      hasWaited = true;
    });
  }

  /** Takes its turn at once, before the first item is asked for. */
  stream(request: CallRequest, cancellation: Cancellation): AsyncIterable<unknown> {
    const endpoint = this.resolve(request, true);
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    cancellation.signal.addEventListener('abort', end, { once: true });
    const turn = new Promise<void>((resolve) => {
      this.mailbox.add(endpoint.concurrent, () => {
        resolve();
        return ended;
      });
    });
    return this.items(endpoint, request, cancellation, turn, end);
  }

  /**
   * Answers what has come, stops what the actor spawned, then lets it clean up.
   *
   * @throws {ForgeError} what a cleanup threw, its own or that of something it spawned.
   */
  async stop(drainMs: number): Promise<void> {
    await within(drainMs, this.mailbox.idle(), () => undefined);
    this.hasStopped = true;
    for (const context of this.signalsInUse) context.abort(this.stopped());
    try {
      await this.owner.close();
    } finally {
      await this.cleanUp();
    }
  }

  private async cleanUp(): Promise<void> {
    try {
      await runInScope(this.owner, null, () => this.instance?.cleanup());
    } catch (error) {
      throw endpointError(error, this.name, 'cleanup');
    }
  }

  private resolve(request: CallRequest, asStream: boolean): Endpoint {
    return resolveEndpoint(this.endpoints, this.name, request.endpoint, request.args, asStream);
  }

  private run(endpoint: Endpoint, request: CallRequest, context: EndpointContext): unknown {
    return runInScope(this.owner, context, () =>
      endpoint.method.apply(this.instance, request.args as unknown[]),
    );
  }

  private async *items(
    endpoint: Endpoint,
    request: CallRequest,
    cancellation: Cancellation,
    turn: Promise<void>,
    end: () => void,
  ): AsyncGenerator {
    const context = new EndpointContext(request, cancellation, this.signalsInUse);
    const span = ServerSpan.start(this.name, request.endpoint, request.headers);
    const inScope = <T>(run: () => T): T => runInScope(this.owner, context, () => span.run(run));
    try {
      await turn;
      this.refuseLate(request, cancellation);
      const items = this.run(endpoint, request, context) as AsyncGenerator;
      try {
        for (;;) {
          const item = await inScope(() => items.next());
          if (item.done === true) return;
          yield item.value;
        }
      } finally {
        await inScope(() => items.return(undefined));
        span.end();
      }
    } catch (thrown) {
      const error = endpointError(thrown, this.name, request.endpoint);
      span.fail(error);
      throw error;
    } finally {
      context.close();
      end();
    }
  }

  /** Refuses a message whose caller or actor has gone before its turn. */
  private refuseLate({ endpoint }: CallRequest, { isCancelled }: Cancellation): void {
    if (isCancelled)
      throw new ForgeError('CANCELLED', `${endpoint} was cancelled before it began`, { endpoint });
    if (this.hasStopped) throw this.stopped();
  }

  private stopped(): ForgeError {
    return new ForgeError('TRANSIENT_REPLICA_LOST', `${this.name} has stopped`, { actor: this.name });
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}

/** Whether no caller will be told of an exception. */
function isUnheard({ headers }: CallRequest, cancellation: Cancellation): boolean {
  return headers?.[POSTED] !== undefined || cancellation.isCancelled;
}

/** Whether the actor's own code has failed; an error of ours or of the system speaks of something else. */
function isUnexpected(thrown: unknown): boolean {
  return ForgeError.from(thrown).code === 'BUG_INVARIANT';
}

/**
 * A ForgeError as it is, one of the system as what it says about the environment, anything else as BUG_ENDPOINT. The loss
 * of another replica, which the endpoint itself called, is marked by `thrownBy`.
 */
function endpointError(thrown: unknown, actor: string, endpoint: string): ForgeError {
  if (thrown instanceof ForgeError) {
    const isOfAnother = thrown.is('TRANSIENT_REPLICA_LOST') && thrown.details.actor !== actor;
    return isOfAnother ? thrownBy(`${actor}.${endpoint}`, thrown) : thrown;
  }
  const known = ForgeError.from(thrown);
  if (!isUnexpected(known)) return thrownBy(`${actor}.${endpoint}`, known);
  const { name, message, stack } = thrown instanceof Error ? thrown : new Error(String(thrown));
  return new ForgeError('BUG_ENDPOINT', message, { actor, endpoint, name, stack }, { cause: thrown });
}

function thrownBy(place: string, error: ForgeError): ForgeError {
  return new ForgeError(error.code, error.message, { ...error.details, thrownBy: place }, { cause: error });
}
