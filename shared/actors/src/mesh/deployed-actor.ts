import { connectTo } from '../transports/connections';
import type { Address } from '../transports/transport';
import { ActorRef, message, type CallOptions } from './actor-ref';

/** An actor that another process serves, by `serveActor`. */
export interface DeployedActor {
  readonly address: Address;
  /** The id of the actor at that address. */
  readonly actor: string;
}

/**
 * The items that an endpoint of a deployed actor yields, over a connection of its own, which is closed when the iteration
 * ends.
 *
 * @throws {ForgeError} what the transport of the address and the endpoint throw; TRANSIENT_REPLICA_LOST when the process is
 *   lost in the middle.
 */
export async function* streamFrom(
  { address, actor }: DeployedActor,
  endpoint: string,
  args: readonly unknown[],
  options: CallOptions = {},
): AsyncGenerator<unknown> {
  const channel = await connectTo(address);
  try {
    yield* new ActorRef({ channel }, actor).stream(message(endpoint, args, options));
  } finally {
    await channel.close();
  }
}
