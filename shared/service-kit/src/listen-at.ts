import { ForgeError } from '@forge/errors';
import type { Logger } from '@forge/telemetry';
import type { FastifyInstance } from 'fastify';

export interface ListenOptions {
  /** The server, for people: "the dashboard". */
  what: string;
  host: string;
  /** Null: the usual one, or any where that is taken. */
  port: number | null;
  usualPort: number;
  logger: Pick<Logger, 'info'>;
}

/**
 * Begins to listen; the address.
 *
 * @throws {ForgeError} CONFIG_INVALID when the port that was asked for is taken, or the host has no such interface.
 */
export async function listenAt(
  http: FastifyInstance,
  { what, host, port, usualPort, logger }: ListenOptions,
): Promise<string> {
  try {
    return await http.listen({ host, port: port ?? usualPort });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE')
      throw new ForgeError('CONFIG_INVALID', `${what} can't listen at ${host}: ${message}`);
    if (port !== null) {
      const said = `port ${port} of ${host} is taken; choose another one, or none for a free one`;
      throw new ForgeError('CONFIG_INVALID', said, { port });
    }
    logger.info(`port ${usualPort} is taken; taking a free one`);
    return http.listen({ host, port: 0 });
  }
}
