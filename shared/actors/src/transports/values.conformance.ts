import {
  failure,
  handlerOf,
  items,
  request,
  useTransport,
  type ConformanceSetup,
} from './conformance-setup.conformance';

const MIB = 2 ** 20;

/** How values travel, whatever carries their bytes. */
export function valuesConformance(name: string, make: () => Promise<ConformanceSetup>): void {
  describe(`${name}: values`, () => {
    const { open, setup } = useTransport(make);
    const echo = handlerOf({ echo: ({ args }) => args[0] });

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
      ['objects of many fields', Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i]))],
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
      if (setup().isLocal === true) return;
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
