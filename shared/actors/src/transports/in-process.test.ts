import { failure, handlerOf, request } from './conformance-setup.conformance';
import { InProcessTransport } from './in-process';
import { transportConformance } from './transport.conformance';

transportConformance('inproc', () => Promise.resolve({ transport: new InProcessTransport() }));

describe('InProcessTransport', () => {
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
