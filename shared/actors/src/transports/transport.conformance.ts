import { ForgeError } from '@forge/errors';
import { waitFor } from '@forge/testing';
import type { CallRequest } from '../wire/call-request';
import {
  collect,
  failure,
  handlerOf,
  hanging,
  items,
  request,
  useTransport,
  type ConformanceSetup,
} from './conformance-setup.conformance';
import { valuesConformance } from './values.conformance';

const WINDOW = 16;
const MIB = 2 ** 20;

/** Conduct of every transport. */
export function transportConformance(name: string, make: () => Promise<ConformanceSetup>): void {
  valuesConformance(name, make);
  describe(`${name}: a transport`, () => {
    const { open, setup } = useTransport(make);
    const echo = handlerOf({ echo: ({ args }) => args[0] });

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
            ours: () => Promise.reject(new ForgeError('CAPACITY_GPUS', 'too few', { free: 1n } as never)),
            foreign: () => {
              throw new TypeError('x is undefined');
            },
            unsendable: () => Promise.reject(new ForgeError('CANCELLED', 'why', { f: () => 1 } as never)),
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
        const again = failure(setup().transport.connect(listener.address));
        expect(await again).toMatchObject({ code: 'TRANSIENT_REPLICA_LOST', message: /nobody/ });
      });

      it('of one channel leave the others alone', async () => {
        const { channel, listener } = await open(echo);
        const other = await setup().transport.connect(listener.address);
        await channel.close();
        expect(await other.call(request('echo', 1))).toBe(1);
        await other.close();
      });
    });
  });
}
