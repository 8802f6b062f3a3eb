import type { Registry } from '@forge/broker';
import type { Recipe } from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { ServiceContext } from '@forge/service-kit';
import type { Gateway } from '../gateway-server';

export interface ListeningPlace {
  host: string;
  /** Null: the usual one, or any where that is taken. */
  port: number | null;
}

type Context = Pick<ServiceContext, 'replica' | 'httpHost' | 'reachable' | 'logger'> & {
  recipe: Pick<Recipe, 'gateway'>;
  registry: Pick<Registry, 'serves' | 'servedAt'>;
};

/**
 * Opens the gateway of a replica: at the port of the recipe, else at that of the process which had its name before, as
 * agents hold its address. The registry tells where.
 *
 * @throws {ForgeError} CONFIG_INVALID when the port of the recipe is taken.
 */
export async function openAtKeptPort(
  { recipe, replica, httpHost, reachable, registry, logger }: Context,
  open: (at: ListeningPlace) => Promise<Gateway>,
): Promise<Gateway> {
  const { host = httpHost, port } = recipe.gateway;
  const before = await registry.servedAt('gateway', replica);
  const kept = before === null ? null : Number(new URL(before).port);
  const wanted = port === undefined ? (kept ?? usualPort(replica)) : port + numberOf(replica);
  const gateway = await open({ host, port: wanted }).catch((error: unknown) => {
    if (port !== undefined || wanted === null || !ForgeError.from(error).is('CONFIG_INVALID')) throw error;
    logger.warn(
      { port: wanted },
      'the port from before is taken: agents find the gateway at another address',
    );
    return open({ host, port: null });
  });
  await registry.serves('gateway', replica, reachable(gateway.url));
  return gateway;
}

/** Null: the usual one where it is free. Further replicas on a machine take any. */
function usualPort(replica: string): number | null {
  return numberOf(replica) === 0 ? null : 0;
}

/** Replicas that a supervisor starts are numbered; those in containers have names, and ports of their own. */
function numberOf(replica: string): number {
  return /^\d{1,3}$/.test(replica) ? Number(replica) : 0;
}
