import { ForgeError } from '@forge/errors';
import type { ActorClass, Failure, ForgeActor } from './actor';
import { bear, type Birth } from './birth';
import { runInScope, type CallContext } from './call-context';
import { endpointsOf, resolveEndpoint, type Endpoint } from './endpoint';
import { Mailbox } from './mailbox';
import { Owner } from './supervision';
import { traceHooks } from './trace-hooks';
import type { CallRequest } from './transport';

/** Marks a message nobody waits for the answer of: an unexpected exception then goes to supervision. */
export const POSTED = 'forge-posted';

/** One living actor: its instance, its mailbox, what it owns. */
export class ActorCell {
  readonly name: string;
  private readonly mailbox = new Mailbox();
  private readonly endpoints: ReadonlyMap<string, Endpoint>;
  private readonly owner: Owner;
  private readonly stopping = new AbortController();
  private instance: ForgeActor | null = null;

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
        const construct = this.actorClass as new (...args: readonly unknown[]) => ForgeActor;
        this.instance = bear(this.birth, () => new construct(...args));
        await this.instance.setup();
      });
    } catch (error) {
      await this.owner.close();
      throw endpointError(error, this.name, 'setup');
    }
  }

  call(request: CallRequest, signal: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const endpoint = this.resolve(request, false);
      this.mailbox.add(endpoint.concurrent, async () => {
        try {
          this.refuseLate(request, signal);
          resolve(await this.run(endpoint, request, signal));
        } catch (thrown) {
          const error = endpointError(thrown, this.name, request.endpoint);
          const nobodyWaits = signal.aborted || request.headers?.[POSTED] !== undefined;
          if (nobodyWaits && isUnexpected(thrown)) this.fail({ name: this.name, error });
          reject(error);
        }
      });
    });
  }

  /** Takes its turn at once, not when it is first asked for an item. */
  stream(request: CallRequest, signal: AbortSignal): AsyncIterable<unknown> {
    const endpoint = this.resolve(request, true);
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    signal.addEventListener('abort', end, { once: true });
    const turn = new Promise<void>((resolve) => {
      this.mailbox.add(endpoint.concurrent, () => {
        resolve();
        return ended;
      });
    });
    return this.items(endpoint, request, signal, turn, end);
  }

  /** Answers what has come, stops what the actor spawned, then lets it clean up. */
  async stop(drainMs: number): Promise<void> {
    await within(drainMs, this.mailbox.idle());
    this.stopping.abort();
    await this.owner.close();
    await runInScope(this.owner, null, () => this.instance?.cleanup());
  }

  /** A message whose turn has come too late: its caller is gone, or the actor. */
  private refuseLate({ endpoint }: CallRequest, signal: AbortSignal): void {
    if (signal.aborted)
      throw new ForgeError('CANCELLED', `${endpoint} was cancelled before it began`, { endpoint });
    if (!this.stopping.signal.aborted) return;
    throw new ForgeError('TRANSIENT_REPLICA_LOST', `${this.name} stopped before ${endpoint} began`, {
      actor: this.name,
    });
  }

  private resolve(request: CallRequest, asStream: boolean): Endpoint {
    return resolveEndpoint(this.endpoints, this.name, request.endpoint, request.args, asStream);
  }

  private run(endpoint: Endpoint, request: CallRequest, signal: AbortSignal): unknown {
    const context = new EndpointContext(request, signal, this.stopping.signal);
    return runInScope(this.owner, context, () =>
      traceHooks().run(request, () => endpoint.method.apply(this.instance, request.args as unknown[])),
    );
  }

  private async *items(
    endpoint: Endpoint,
    request: CallRequest,
    signal: AbortSignal,
    turn: Promise<void>,
    end: () => void,
  ): AsyncGenerator {
    const context = new EndpointContext(request, signal, this.stopping.signal);
    const inScope = <T>(run: () => T): T => runInScope(this.owner, context, run);
    try {
      await turn;
      this.refuseLate(request, signal);
      const items = this.run(endpoint, request, signal) as AsyncGenerator;
      try {
        for (;;) {
          const item = await inScope(() => items.next());
          if (item.done === true) return;
          yield item.value;
        }
      } finally {
        await inScope(() => items.return(undefined));
      }
    } catch (thrown) {
      throw endpointError(thrown, this.name, request.endpoint);
    } finally {
      end();
    }
  }
}

/** The signal is made only for an endpoint that asks for it. */
class EndpointContext implements CallContext {
  private combined: AbortSignal | null = null;

  constructor(
    private readonly request: CallRequest,
    private readonly callSignal: AbortSignal,
    private readonly stopSignal: AbortSignal,
  ) {}

  get signal(): AbortSignal {
    this.combined ??= AbortSignal.any([this.callSignal, this.stopSignal]);
    return this.combined;
  }

  get key(): string {
    return this.request.key;
  }

  get session(): string | undefined {
    return this.request.session;
  }

  get headers(): Readonly<Record<string, string>> | undefined {
    return this.request.headers;
  }
}

/** An exception of the actor's own code; an error of ours that it passes on speaks of something else. */
function isUnexpected(thrown: unknown): boolean {
  return !(thrown instanceof ForgeError) || thrown.code === 'BUG_INVARIANT';
}

/**
 * One of our errors as it is; anything else an endpoint throws is unexpected. A loss of some other replica, which the
 * endpoint itself called, is marked: it is no loss of this one.
 */
function endpointError(thrown: unknown, actor: string, endpoint: string): ForgeError {
  if (thrown instanceof ForgeError) {
    const isOfAnother = thrown.code === 'TRANSIENT_REPLICA_LOST' && thrown.details.actor !== actor;
    if (!isOfAnother) return thrown;
    const details = { ...thrown.details, thrownBy: `${actor}.${endpoint}` };
    return new ForgeError(thrown.code, thrown.message, details, { cause: thrown });
  }
  const { name, message, stack } = thrown instanceof Error ? thrown : new Error(String(thrown));
  return new ForgeError('BUG_ENDPOINT', message, { actor, endpoint, name, stack }, { cause: thrown });
}

/** Waits for `promise`, at most for `ms`. */
async function within(ms: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([promise, expired]);
  clearTimeout(timer);
}
