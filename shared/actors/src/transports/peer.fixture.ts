import { setTimeout as sleep } from 'node:timers/promises';
import { connectRedis } from '@forge/broker';
import type { CallRequest } from '../wire/call-request';
import { RedisTransport } from './redis';
import { SocketTransport, type SocketTransportOptions } from './socket';
import type { Handler, Transport } from './transport';

/** Orders of a peer on its command line, as JSON. */
export interface PeerSpec {
  at?: string;
  socket?: SocketTransportOptions;
  redisUrl?: string;
}

/** `echo` answers with its first argument, `hang` never, `block` after its loop stood still; `count` is a stream. */
const handler: Handler = {
  call({ endpoint, args }: CallRequest) {
    if (endpoint === 'block') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(args[0]));
    if (endpoint === 'hang') {
      process.send?.('called');
      return new Promise(() => undefined);
    }
    return Promise.resolve(args[0]);
  },
  async *stream({ args }: CallRequest) {
    for (let i = 0; i < Number(args[0]); i++) yield i;
    await sleep(2 ** 30);
  },
};

/** A listener in a process of its own: tells its address by IPC. */
async function listen({ at, socket, redisUrl }: PeerSpec): Promise<void> {
  const transport: Transport =
    redisUrl === undefined
      ? new SocketTransport(socket)
      : new RedisTransport(await connectRedis(redisUrl, { name: 'peer', giveUpAfterMs: 5_000 }));
  const { address } = await transport.listen(handler, at);
  process.send?.(address);
  process.on('disconnect', () => process.exit(0));
}

void listen(JSON.parse(process.argv[2] ?? '{}') as PeerSpec);
