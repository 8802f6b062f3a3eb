import { failure, handlerOf, request } from './conformance-setup.conformance';
import { InProcessTransport } from './in-process';
import { transportConformance } from './transport.conformance';

transportConformance('inproc', () => Promise.resolve({ transport: new InProcessTransport(), isLocal: true }));

describe('InProcessTransport', () => {
  const echo = handlerOf({ echo: ({ args }) => args[0] });

  it('carries more than a frame between processes, in one copy', async () => {
    const transport = new InProcessTransport();
    const channel = await transport.connect((await transport.listen(echo)).address);
    const large = Buffer.alloc(65 * 2 ** 20, 1);
    const lists = Array.from({ length: 5 }, () => new Array<number>(2 ** 20).fill(7));
    const answer = (await channel.call(request('echo', { large, lists }))) as {
      large: Buffer;
      lists: number[][];
    };
    expect([answer.large.equals(large), answer.large.buffer === large.buffer]).toEqual([true, false]);
    expect(answer.lists.every((list) => list.length === 2 ** 20 && list.every((one) => one === 7))).toBe(
      true,
    );
  });

  it('hands on shared memory itself, in order with what is copied', async () => {
    const transport = new InProcessTransport();
    const channel = await transport.connect((await transport.listen(echo)).address);
    const shared = Buffer.from(new SharedArrayBuffer(10));
    const copied = new Float32Array(2 ** 15).fill(0.5);
    await expect(channel.call(request('echo', [shared, () => 1]))).rejects.toMatchObject({
      code: 'CONTRACT_UNSERIALIZABLE',
    });
    const answer = (await channel.call(request('echo', [copied, shared]))) as [Float32Array, Buffer];
    shared.fill(9);
    expect(answer[0]).toStrictEqual(copied);
    expect([...answer[1]]).toEqual(new Array(10).fill(9));
  });

  it('carries the calls of 64 listeners, and starves nothing else meanwhile', async () => {
    const transport = new InProcessTransport();
    const listeners = await Promise.all(
      Array.from({ length: 64 }, (_, i) =>
        transport.listen(handlerOf({ add: ({ args }) => Number(args[0]) + i })),
      ),
    );
    const channels = await Promise.all(listeners.map(({ address }) => transport.connect(address)));
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    for (let round = 0; round < 50; round++) {
      const answers = await Promise.all(channels.map((channel) => channel.call(request('add', round))));
      expect(answers).toEqual(channels.map((_, i) => round + i));
    }
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(0);
    await Promise.all(listeners.map((listener) => listener.close()));
  });

  it('refuses a name that is taken, and gives it again when it is free', async () => {
    const transport = new InProcessTransport();
    const listener = await transport.listen(handlerOf({}), 'inproc:name');
    const taken = await failure(new InProcessTransport().listen(handlerOf({}), 'inproc:name'));
    expect(taken).toMatchObject({ code: 'CONFIG_INVALID' });
    await listener.close();
    await (await transport.listen(handlerOf({}), 'inproc:name')).close();
  });
});
