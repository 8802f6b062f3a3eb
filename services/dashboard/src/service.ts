import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createHttpServer, listenAt } from '@forge/service-kit';
import type { Logger } from '@forge/telemetry';
import { requireToken } from './handlers/bearer-token';
import { controlRoutes } from './handlers/control-routes';
import { eventStream } from './handlers/event-stream';
import { problemOf } from './handlers/http-problem';
import { page } from './handlers/page';
import { queueBoard } from './handlers/queue-board';
import { readRoutes } from './handlers/read-routes';
import { RunCatalog } from './handlers/run-catalog';
import { RunStates } from './handlers/run-states';
import { RunWatchers } from './handlers/run-watchers';
import { requireLocalName, securityHeaders } from './handlers/security-headers';

export interface DashboardOptions {
  /** Output directory of the runs. */
  runsDir: string;
  host: string;
  /** Null: the usual one, or any where that is taken. */
  port: number | null;
  /** Null: one is made. */
  token: string | null;
  /** Where the built page is. */
  pageDir?: string;
  logger: Logger;
}

export interface Dashboard {
  /** Address it answers at. */
  url: string;
  /** The same for people: with the token, where it was made here. */
  address: string;
  close: () => Promise<void>;
}

const USUAL_PORT = 7700;
const TOKEN_BYTES = 24;

/** Serves the page and its data on the runs in a directory. It changes runs only as any process could. */
export async function start(options: DashboardOptions): Promise<Dashboard> {
  const { runsDir, host, port, logger, pageDir = join(__dirname, 'web') } = options;
  const token = options.token ?? randomBytes(TOKEN_BYTES).toString('base64url');
  const http = createHttpServer(() => undefined);
  http.setErrorHandler((error, { method, url }, reply) => {
    const { status, body } = problemOf(error);
    if (status >= 500) logger.warn({ err: error, method, url }, 'request failed');
    void reply.code(status).send(body);
  });
  const catalog = new RunCatalog(runsDir);
  const watchers = new RunWatchers(catalog);
  const sources = { catalog, watchers, states: new RunStates(catalog, watchers) };

  securityHeaders(http);
  requireLocalName(http, host);
  requireToken(http, token);
  http.get('/healthz', () => ({ status: 'ok', service: 'dashboard' }));
  readRoutes(http, sources);
  controlRoutes(http, sources);
  eventStream(http, sources);
  await queueBoard(http, sources);
  await page(http, pageDir);

  const url = await listenAt(http, { what: 'the dashboard', host, port, usualPort: USUAL_PORT, logger });
  return {
    url,
    address: options.token === null ? `${url}/#token=${token}` : `${url}/`,
    close: async () => {
      watchers.close();
      await http.close();
    },
  };
}
