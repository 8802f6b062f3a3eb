import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ForgeError } from '@forge/errors';
import { waitFor } from '@forge/testing';
import type { Address, CallRequest, Channel, Handler, Listener, Transport } from '../transport';
import type { PeerSpec } from './peer.fixture';

export interface ConformanceSetup {
  transport: Transport;
  at?: Address;
  stop?(): Promise<void>;
}

/** A transport whose peers are processes of their own. */
export interface ProcessSetup extends ConformanceSetup {
  /** How such a process listens. */
  peer: PeerSpec;
  /** Within how many milliseconds a killed peer is noticed. */
  killedWithinMs: number;
  /** The same for one that was stopped. */
  stoppedWithinMs: number;
}

const WINDOW = 16;
const MIB = 2 ** 20;

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

/** A process that listens. */
export async function startPeer(spec: PeerSpec): Promise<{ child: ChildProcess; address: Address }> {
  const script = join(__dirname, '../../dist/transports/peer.fixture.js');
  const child = fork(script, [JSON.stringify(spec)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [address] = (await once(child, 'message')) as [Address];
  return { child, address };
}

export async function endPeer(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** What every transport does, whatever carries its bytes. */
export function transportConformance(name: string, make: () => Promise<ConformanceSetup>): void {
  describe(`${name}: a transport`, () => {
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
    const echo = handlerOf({ echo: ({ args }) => args[0] });

    describe('values', () => {
      const values: [string, unknown][] = [
        ['null', null],
        ['undefined', undefined],
        ['booleans', [true, false]],
        ['whole numbers', [0, 1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32, 2 ** 53]],
        ['negative numbers', [-1, -32, -33, -128, -129, -32_769, -(2 ** 31), -(2 ** 31) - 1]],
        ['other numbers', [0.1, -0, NaN, Infinity, -Infinity, 5e-324]],
        ['bigints', [0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 63n, 2n ** 200n, -(2n ** 200n)]],
        ['strings', ['', 'é', '漢字', '😀', 'a'.repeat(31), 'a'.repeat(32), 'ü'.repeat(70_000)]],
        ['objects', { a: { b: [] }, 'no name': 1, ['__proto__']: { polluted: true }, none: undefined }],
        ['dates', [new Date(0), new Date(-1), new Date(1_700_000_000_123)]],
        [
          'maps',
          new Map<unknown, unknown>([
            ['k', 1],
            [{ o: 1 }, new Map()],
            [2, undefined],
          ]),
        ],
        ['sets', new Set<unknown>([1, 'two', new Set([3n])])],
        ['buffers', [Buffer.alloc(0), Buffer.from([0, 255, 128])]],
        ['typed arrays', [new Uint8Array([1]), new Int16Array([-1, 2]), new Float32Array([1.5, NaN])]],
        ['wide typed arrays', [new Float64Array([0.1]), new BigInt64Array([-1n]), new BigUint64Array([1n])]],
        ['array buffers', new Uint8Array([1, 2, 3]).buffer],
        ['parts of buffers', new Float64Array([1, 2, 3, 4]).subarray(1, 3)],
        ['long lists', Array.from({ length: 70_000 }, (_, i) => i)],
        [
          'objects of many fields',
          Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i])),
        ],
      ];

      it('arrive as they were, both ways', async () => {
        const { channel } = await open(echo);
        for (const [what, value] of values)
          expect({ [what]: await channel.call(request('echo', value)) }).toStrictEqual({ [what]: value });
        const [zero] = (await channel.call(request('echo', [-0]))) as [number];
        expect(Object.is(zero, -0)).toBe(true);
      });

      it('are copies', async () => {
        const bytes = Buffer.from('before');
        let received: Buffer | undefined;
        const { channel } = await open(handlerOf({ keep: ({ args }) => (received = args[0] as Buffer) }));
        const answer = (await channel.call(request('keep', bytes))) as Buffer;
        bytes.fill(0);
        expect([String(received), String(answer)]).toEqual(['before', 'before']);
        received!.fill(0);
        expect(String(answer)).toBe('before');
      });

      it('arrive whole when they are large', async () => {
        const { channel } = await open(echo);
        const large = new Float64Array(2.5 * MIB);
        for (let i = 0; i < large.length; i += 1000) large[i] = i;
        const answer = (await channel.call(request('echo', large))) as Float64Array;
        expect(Buffer.compare(Buffer.from(answer.buffer), Buffer.from(large.buffer))).toBe(0);
      });

      it.each([
        ['a function', { x: [{ f: () => 1 }] }, 'args[0].x[0].f'],
        ['a symbol', [1, Symbol('s')], 'args[0][1]'],
        ['an instance of a class', { now: new (class Clock {})() }, 'args[0].now'],
        ['a cycle', cycle(), 'args[0].list[0].back'],
        ['something in a map', new Map([['k', () => 1]]), 'args[0].get(k)'],
        ['something in a set', new Set([Symbol.iterator]), 'args[0].values()'],
        ['an error', { error: new Error('no') }, 'args[0].error'],
        ['an endless nesting', nested(100_000), null],
      ])('are refused at the caller when there is %s among them', async (_what, value, path) => {
        const { channel } = await open(echo);
        const error = await failure(channel.call(request('echo', value)));
        expect(error).toMatchObject({ code: 'CONTRACT_UNSERIALIZABLE' });
        if (path !== null) expect(error).toMatchObject({ details: { path } });
        expect(error.message.length).toBeLessThan(10_000);
        expect(() => {
          channel.post(request('echo', value));
        }).toThrow(/can't be sent/);
        expect(await channel.call(request('echo', 'alive'))).toBe('alive');
      });

      it('are refused at the endpoint when a result can not travel', async () => {
        const { channel } = await open(
          handlerOf(
            { bad: () => ({ f: [() => 1] }), echo: ({ args }) => args[0] },
            { bad: () => items([1, cycle()]) },
          ),
        );
        expect(await failure(channel.call(request('bad')))).toMatchObject({
          code: 'CONTRACT_UNSERIALIZABLE',
          message: /^bad: result\.f\[0\] is a function/,
        });
        const seen: unknown[] = [];
        const iteration = (async () => {
          for await (const item of channel.stream(request('bad'))) seen.push(item);
        })();
        expect(await failure(iteration)).toMatchObject({ details: { path: 'item.list[0].back' } });
        expect(seen).toEqual([1]);
        expect(await channel.call(request('echo', 'alive'))).toBe('alive');
      });

      it('are refused when they are larger than a frame, either way, and the channel lives on', async () => {
        const { channel } = await open(
          handlerOf({ big: () => Buffer.alloc(65 * MIB), echo: ({ args }) => args[0] }),
        );
        const tooLarge = { code: 'CAPACITY_FRAME_TOO_LARGE', details: { limitBytes: 64 * MIB } };
        const error = await failure(channel.call(request('echo', Buffer.alloc(65 * MIB))));
        expect(error).toMatchObject(tooLarge);
        expect(error.message).toContain(`${64 * MIB}`);
        expect(error.details.sizeBytes).toBeGreaterThan(65 * MIB);
        expect(await failure(channel.call(request('big')))).toMatchObject(tooLarge);
        expect(await channel.call(request('echo', 'alive'))).toBe('alive');
      });
    });

    describe('calls', () => {
      it('carry everything of a request', async () => {
        let seen: CallRequest | undefined;
        const { channel } = await open(handlerOf({ keep: (call) => (seen = call) && null }));
        const whole: CallRequest = {
          actor: 'counter',
          endpoint: 'keep',
          args: [1],
          key: 'key',
          session: 's',
          headers: { traceparent: 't' },
        };
        await channel.call(whole);
        expect(seen).toStrictEqual(whole);
        await channel.call(request('keep'));
        expect(seen).toStrictEqual(request('keep'));
      });

      it('get their own answers, 1,000 at once', async () => {
        const { channel } = await open(
          handlerOf({
            double: async ({ args }) => {
              for (let turns = Number(args[0]) % 3; turns > 0; turns--) await new Promise(setImmediate);
              return 2 * Number(args[0]);
            },
          }),
        );
        const numbers = Array.from({ length: 1_000 }, (_, i) => i);
        const answers = await Promise.all(numbers.map((i) => channel.call(request('double', i))));
        expect(answers).toEqual(numbers.map((i) => 2 * i));
      });

      it('arrive in the order in which they were sent, posts and large ones among them', async () => {
        const seen: unknown[] = [];
        const note = ({ args }: CallRequest): void => void seen.push(args[0]);
        const { channel } = await open(handlerOf({ note }));
        const calls: Promise<unknown>[] = [];
        for (let i = 0; i < 300; i++) {
          const call = request('note', i, i % 50 === 7 ? Buffer.alloc(MIB) : null);
          if (i % 3 === 0) channel.post(call);
          else calls.push(channel.call(call));
        }
        await Promise.all(calls);
        expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => i));
      });

      it('go through while far more is sent than is under way at once', async () => {
        const { channel } = await open(handlerOf({ size: ({ args }) => (args[0] as Buffer).length }));
        const bytes = Buffer.alloc(MIB);
        const sizes = await Promise.all(
          Array.from({ length: 40 }, () => channel.call(request('size', bytes))),
        );
        expect(sizes).toEqual(new Array(40).fill(MIB));
      });

      it('reject with the error of the endpoint', async () => {
        const { channel } = await open(
          handlerOf({
            ours: () => Promise.reject(new ForgeError('CAPACITY_GPUS', 'too few', { free: 1n })),
            foreign: () => {
              throw new TypeError('x is undefined');
            },
            unsendable: () => Promise.reject(new ForgeError('CANCELLED', 'why', { f: () => 1 })),
          }),
        );
        expect(await failure(channel.call(request('ours')))).toMatchObject({
          code: 'CAPACITY_GPUS',
          message: 'too few',
          details: { free: 1n },
        });
        const foreign = { code: 'BUG_ENDPOINT', message: 'x is undefined' };
        expect(await failure(channel.call(request('foreign')))).toMatchObject(foreign);
        const bare = { code: 'CANCELLED', message: 'why', details: {} };
        expect(await failure(channel.call(request('unsendable')))).toMatchObject(bare);
      });

      it('that are cancelled reject at once and cancel the endpoint', async () => {
        const { signals, handler } = hanging();
        const { channel } = await open(handler);
        const controller = new AbortController();
        const call = channel.call(request('hang'), { signal: controller.signal });
        await waitFor('the call', () => signals.length > 0);
        controller.abort();
        expect(await failure(call)).toMatchObject({ code: 'CANCELLED', message: /a\.hang/ });
        await waitFor('the cancellation', () => signals[0]!.aborted);
        expect(signals[0]!.reason).toMatchObject({ code: 'CANCELLED' });
        const late = channel.call(request('hang'), { signal: controller.signal });
        expect(await failure(late)).toMatchObject({ code: 'CANCELLED' });
        expect(signals).toHaveLength(1);
      });

      it('that reach their deadline reject, and the endpoint is told', async () => {
        const { signals, handler } = hanging();
        const { channel } = await open(handler);
        const call = channel.call({ ...request('hang'), timeoutMs: 60 });
        expect(await failure(call)).toMatchObject({ code: 'TRANSIENT_TIMEOUT', message: /within 60 ms/ });
        await waitFor('the deadline', () => signals[0]?.aborted);
      });

      it('that are posted get no answer, and do no harm when they fail', async () => {
        let posted = 0;
        const fail = (): never => {
          posted++;
          throw new Error('no');
        };
        const { channel } = await open(handlerOf({ fail, echo: ({ args }) => args[0] }));
        channel.post(request('fail'));
        expect(await channel.call(request('echo', 1))).toBe(1);
        expect(posted).toBe(1);
      });
    });

    describe('streams', () => {
      it('give all items in order', async () => {
        const numbers = Array.from({ length: 1_000 }, (_, i) => i);
        const { channel } = await open(handlerOf({}, { numbers: () => items(numbers) }));
        const [first, second] = await Promise.all(
          [0, 1].map(() => collect(channel.stream(request('numbers')))),
        );
        expect(first).toEqual(numbers);
        expect(second).toEqual(numbers);
      });

      it(`let the endpoint be at most ${WINDOW} items ahead of a slow consumer`, async () => {
        let made = 0;
        let ahead = 0;
        const count = async function* (): AsyncGenerator<number> {
          while (made < 200) {
            await Promise.resolve();
            yield made++;
          }
        };
        const { channel } = await open(handlerOf({ made: () => made }, { count }));
        let taken = 0;
        for await (const item of channel.stream(request('count'))) {
          expect(item).toBe(taken);
          // Behind the answer to a call the endpoint has done all it may.
          if (taken % 20 === 0) await channel.call(request('made'));
          ahead = Math.max(ahead, made - taken);
          taken++;
        }
        expect(taken).toBe(200);
        expect(ahead).toBeLessThanOrEqual(WINDOW + 1);
        expect(ahead).toBeGreaterThan(1);
      });

      it('that are left end at the endpoint', async () => {
        let ended = false;
        const endless = async function* (): AsyncGenerator<number> {
          try {
            for (let i = 0; ; i++) yield i;
          } finally {
            ended = true;
          }
        };
        const { channel } = await open(handlerOf({}, { endless }));
        for await (const item of channel.stream(request('endless'))) if (item === 3) break;
        await waitFor('the end of the endpoint', () => ended);
      });

      it('that are left while an item is waited for end at once', async () => {
        const { signals, handler } = hanging();
        const { channel } = await open(handler);
        const iterator = channel.stream(request('hang'))[Symbol.asyncIterator]();
        const next = iterator.next();
        await waitFor('the call', () => signals.length > 0);
        await iterator.return!();
        expect(await next).toEqual({ done: true, value: undefined });
        await waitFor('the cancellation', () => signals[0]!.aborted);
      });

      it('pass the error on behind the items before it', async () => {
        const fail = async function* (): AsyncGenerator<number> {
          yield 1;
          yield 2;
          await Promise.reject(new ForgeError('CAPACITY_EXCEEDED', 'full', { at: 3 }));
        };
        const { channel } = await open(handlerOf({}, { fail }));
        const seen: unknown[] = [];
        const iteration = (async () => {
          for await (const item of channel.stream(request('fail'))) seen.push(item);
        })();
        expect(await failure(iteration)).toMatchObject({ code: 'CAPACITY_EXCEEDED', details: { at: 3 } });
        expect(seen).toEqual([1, 2]);
      });

      it('are cancelled by their signal and their deadline', async () => {
        const { signals, handler } = hanging();
        const { channel } = await open(handler);
        const controller = new AbortController();
        const cancelled = collect(channel.stream(request('hang'), { signal: controller.signal }));
        await waitFor('the call', () => signals.length > 0);
        controller.abort();
        expect(await failure(cancelled)).toMatchObject({ code: 'CANCELLED' });
        const late = collect(channel.stream({ ...request('hang'), timeoutMs: 30 }));
        expect(await failure(late)).toMatchObject({ code: 'TRANSIENT_TIMEOUT' });
        await waitFor('both ends', () => signals.length === 2 && signals.every(({ aborted }) => aborted));
      });
    });

    describe('ends', () => {
      it('of a channel end its calls on both sides', async () => {
        const { signals, handler } = hanging();
        const { channel } = await open(handler);
        const call = failure(channel.call(request('hang')));
        await waitFor('the call', () => signals.length > 0);
        await channel.close();
        expect(await call).toMatchObject({ code: 'CANCELLED' });
        expect(await channel.lost).toMatchObject({ code: 'CANCELLED' });
        await waitFor('the end of the endpoint', () => signals[0]!.aborted);
        expect(await failure(channel.call(request('hang')))).toMatchObject({ code: 'CANCELLED' });
        channel.post(request('hang'));
        await channel.close();
      });

      it('of a channel let out what was posted before', async () => {
        let posted = 0;
        const { channel } = await open(handlerOf({ post: () => posted++ }));
        for (let i = 0; i < 100; i++) channel.post(request('post', Buffer.alloc(1000)));
        await channel.close();
        await waitFor('the posts', () => posted === 100);
      });

      it('of a listener end the calls under way, and nobody connects any more', async () => {
        const { signals, handler } = hanging();
        const { channel, listener } = await open(handler);
        const call = failure(channel.call(request('hang')));
        await waitFor('the call', () => signals.length > 0);
        await listener.close();
        expect(signals[0]!.aborted).toBe(true);
        expect(await call).toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
        expect(await channel.lost).toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
        const again = failure(setup.transport.connect(listener.address));
        expect(await again).toMatchObject({ code: 'TRANSIENT_REPLICA_LOST', message: /nobody/ });
      });

      it('of one channel leave the others alone', async () => {
        const { channel, listener } = await open(echo);
        const other = await setup.transport.connect(listener.address);
        await channel.close();
        expect(await other.call(request('echo', 1))).toBe(1);
        await other.close();
      });
    });
  });
}

/** What every transport between processes does when one of them is lost. */
export function lostPeerConformance(name: string, make: () => Promise<ProcessSetup>): void {
  describe(`${name}: a peer in another process`, () => {
    let setup: ProcessSetup;
    beforeAll(async () => {
      setup = await make();
    });
    afterAll(() => setup.stop?.());

    it.each([
      ['killed', 'SIGKILL', 'killedWithinMs'],
      ['stopped', 'SIGSTOP', 'stoppedWithinMs'],
    ] as const)('that is %s is noticed in time, and its calls are told', async (_what, signal, within) => {
      const { child, address } = await startPeer(setup.peer);
      const channel = await setup.transport.connect(address);
      try {
        const seen: unknown[] = [];
        const iteration = (async () => {
          for await (const item of channel.stream(request('count', 5))) seen.push(item);
        })();
        await waitFor('the items', () => seen.length === 5);
        const call = channel.call(request('hang'));
        await once(child, 'message');
        const startedAt = performance.now();
        child.kill(signal);
        const [callError, streamError] = await Promise.all([failure(call), failure(iteration)]);
        expect(performance.now() - startedAt).toBeLessThan(setup[within]);
        expect(callError).toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
        expect(streamError).toMatchObject({ code: 'TRANSIENT_REPLICA_LOST', details: { items: 5 } });
        expect(await channel.lost).toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
      } finally {
        await channel.close();
        await endPeer(child);
      }
    });
  });
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

/** An object that is part of itself. */
function cycle(): unknown {
  const inner: { back?: unknown } = {};
  const outer = { list: [inner] };
  inner.back = outer;
  return outer;
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

// eslint-disable-next-line @typescript-eslint/require-await
async function* items(list: readonly unknown[]): AsyncGenerator {
  yield* list;
}

async function collect(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const item of stream) all.push(item);
  return all;
}

/** An endpoint that answers never, and keeps the signals it was given. */
function hanging(): { signals: AbortSignal[]; handler: Handler } {
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
