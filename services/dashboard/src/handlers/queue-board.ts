import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import type { FastifyInstance } from 'fastify';
import type { ApiError } from '../api';
import type { Sources } from './read-routes';

const PATH = '/queues';
const READ_ONLY: ApiError = {
  code: 'METHOD_NOT_ALLOWED',
  message: 'queues are only shown here; runs are changed on their pages',
};

/** BullMQ's own view of the queues of all running runs whose Redis answers, to look at. */
export async function queueBoard(http: FastifyInstance, { catalog, watchers }: Sources): Promise<void> {
  const serverAdapter = new FastifyAdapter();
  serverAdapter.setBasePath(PATH);
  const board = createBullBoard({
    queues: [],
    serverAdapter,
    options: { uiConfig: { boardTitle: 'Forge', hideRedisDetails: true } },
  });
  const showRunning = async (): Promise<void> => {
    const running = (await catalog.listings()).filter(({ state }) => state === 'running');
    const adapters = running.map(async ({ id }) => {
      const queue = await watchers.of(id).use(({ queue: { bullQueue } }) => Promise.resolve(bullQueue));
      return new BullMQAdapter(queue, { readOnlyMode: true, prefix: `${id} ` });
    });
    const found = await Promise.allSettled(adapters);
    board.replaceQueues(found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])));
  };
  await http.register(
    async (scope) => {
      scope.addHook('onRequest', async ({ method, url }, reply) => {
        if (method !== 'GET' && method !== 'HEAD') return reply.code(405).send(READ_ONLY);
        if (!url.startsWith(`${PATH}/static`)) await showRunning();
        return undefined;
      });
      await scope.register(serverAdapter.registerPlugin());
    },
    { prefix: PATH },
  );
}
