import { fastify } from 'fastify';
import { serveEndpoints } from './serve-endpoints';

/** A replica in a process of its own: tells its URL by IPC, answers `pid` at once and `slow` never. */
async function serve(): Promise<void> {
  const http = fastify();
  serveEndpoints(http, {
    pid: () => Promise.resolve(process.pid),
    slow: () => {
      process.send?.('slow');
      return new Promise(() => undefined);
    },
  });
  process.send?.(await http.listen({ host: '127.0.0.1', port: 0 }));
  process.on('disconnect', () => process.exit(0));
}

void serve();
