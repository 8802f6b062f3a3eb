import { existsSync } from 'node:fs';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { notFound } from './http-problem';

const NOT_BUILT = `The page is not built: run "npm run build -w @forge/dashboard" and start the dashboard again.
What it shows can be read as JSON, from /api/runs on.
`;

/** Serves the page that vite has built into a directory; another one says so where it is not built. */
export async function page(http: FastifyInstance, directory: string): Promise<void> {
  const isBuilt = existsSync(join(directory, 'index.html'));
  if (isBuilt) {
    await http.register(fastifyStatic, {
      root: directory,
      cacheControl: false,
      setHeaders: (reply, path) => {
        // Their names change with what is in them.
        const isAsset = path.startsWith(join(directory, 'assets'));
        void reply.header('cache-control', isAsset ? 'public, max-age=31536000, immutable' : 'no-cache');
      },
    });
  } else {
    http.get('/', (_request, reply) => reply.code(503).type('text/plain; charset=utf-8').send(NOT_BUILT));
  }
  http.setNotFoundHandler(({ method, url, headers }, reply) => {
    const isPage =
      method === 'GET' && !url.startsWith('/api/') && (headers.accept ?? '').includes('text/html');
    // A view of the page has an address of its own.
    if (isBuilt && isPage) return reply.header('cache-control', 'no-cache').sendFile('index.html');
    throw notFound(`there is no ${method} ${url.split('?')[0]}`);
  });
}
