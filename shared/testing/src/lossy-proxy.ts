import { connect, createServer, type Socket } from 'node:net';

export interface LossyProxy {
  /** Redis, as it is reached through the proxy. */
  url: string;
  /** The next thing the server says is lost together with its connection; resolves when that has happened. */
  loseNextAnswer(): Promise<void>;
  stop(): Promise<void>;
}

/** A way to a Redis on which an answer can be lost: the server has done what it was told, the client does not know. */
export async function startLossyProxy(redisUrl: string): Promise<LossyProxy> {
  const { hostname, port } = new URL(redisUrl);
  const sockets = new Set<Socket>();
  let lose: (() => void) | null = null;
  const proxy = createServer((client) => {
    const server = connect(Number(port), hostname);
    const pair = [client, server];
    for (const socket of pair) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        for (const other of pair) other.destroy();
      });
    }
    client.pipe(server);
    server.on('data', (answer) => {
      if (lose === null) {
        client.write(answer);
        return;
      }
      client.destroy();
      lose();
      lose = null;
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  const through = new URL(redisUrl);
  through.host = `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  return {
    url: through.href,
    loseNextAnswer: () => new Promise((resolve) => (lose = resolve)),
    stop: async () => {
      const closed = new Promise((resolve) => proxy.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
