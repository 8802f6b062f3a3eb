import { ForgeError } from '@forge/errors';
import type { CallRequest } from '../wire/call-request';
import type { Address, Channel, Handler, Listener, Transport } from './transport';

export interface ConformanceSetup {
  transport: Transport;
  at?: Address;
  /** Whether both ends are in this process, where frames have no bound. */
  isLocal?: boolean;
  stop?(): Promise<void>;
}

/** Makes the transport of a suite, and ends what its tests open. */
export function useTransport(make: () => Promise<ConformanceSetup>) {
  let setup: ConformanceSetup;
  const closing: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    setup = await make();
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });
  afterAll(() => setup.stop?.());

  async function open(handler: Handler): Promise<{ channel: Channel; listener: Listener }> {
    const listener = await setup.transport.listen(handler, setup.at);
    closing.push(() => listener.close());
    const channel = await setup.transport.connect(listener.address);
    closing.push(() => channel.close());
    return { channel, listener };
  }
  return { open, setup: () => setup };
}

export const request = (endpoint: string, ...args: unknown[]): CallRequest => ({
  actor: 'a',
  endpoint,
  args,
  key: 'k',
});

/** Calls and streams by the endpoint's name. */
export function handlerOf(
  calls: Record<string, (request: CallRequest, signal: AbortSignal) => unknown>,
  streams: Record<string, (request: CallRequest, signal: AbortSignal) => AsyncIterable<unknown>> = {},
): Handler {
  return {
    call: async (call, { signal }) => calls[call.endpoint]!(call, signal),
    stream: (call, { signal }) => streams[call.endpoint]!(call, signal),
  };
}

export async function* items(list: readonly unknown[]): AsyncGenerator {
  yield* list;
}

export async function collect(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const item of stream) all.push(item);
  return all;
}

/** An endpoint that answers never, and keeps the signals it was given. */
export function hanging(): { signals: AbortSignal[]; handler: Handler } {
  const signals: AbortSignal[] = [];
  const never = (_call: CallRequest, signal: AbortSignal): Promise<never> => {
    signals.push(signal);
    return new Promise(() => undefined);
  };
  const wait = async function* (call: CallRequest, signal: AbortSignal): AsyncGenerator {
    yield await never(call, signal);
  };
  return { signals, handler: handlerOf({ hang: never }, { hang: wait }) };
}

/** The error of what is expected to fail. */
export async function failure(promise: Promise<unknown>): Promise<ForgeError> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error as ForgeError;
  }
  throw new Error(`it did not fail but gave ${String(value)}`);
}
