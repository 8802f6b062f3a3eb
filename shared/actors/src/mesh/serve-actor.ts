import { ForgeError } from '@forge/errors';
import { LocalProcess } from '../process/local-process';
import type { Address, Listener, OnRefused } from '../transports/transport';
import type { ActorRef } from './actor-ref';

/** An actor, of a mesh of one. */
export interface ServableActor {
  readonly name: string;
  /** @internal */
  onlyRef(): ActorRef;
}

/** An actor of this process that others may call. */
export interface ServedActor {
  readonly address: Address;
  /** The id of the actor at that address. */
  readonly actor: string;
  /** The id of another actor of this process, which answers at the same address. */
  idOf(mesh: ServableActor): string;
  /** Takes no more calls of others, and ends the ones under way; the actor lives on. */
  close(): Promise<void>;
}

/**
 * Lets other processes call an actor of this one, which was spawned by `thisProc()`.
 *
 * @param at an address, or a scheme alone for an address of its own.
 * @param onRefused is told of every peer and call that is refused because of what it sent.
 * @throws {ForgeError} CONTRACT_INVALID_CALL for an actor that lives elsewhere; CONFIG_INVALID naming what is wrong with
 *   the address.
 */
export async function serveActor(
  mesh: ServableActor,
  at: Address,
  onRefused?: OnRefused,
): Promise<ServedActor> {
  const { process, id } = localRef(mesh);
  const listener: Listener = await process.listen(at, onRefused);
  return {
    address: listener.address,
    actor: id,
    idOf: (other) => localRef(other).id,
    close: () => listener.close(),
  };
}

function localRef(mesh: ServableActor): { process: LocalProcess; id: string } {
  const { process, id } = mesh.onlyRef();
  if (process instanceof LocalProcess) return { process, id };
  throw new ForgeError('CONTRACT_INVALID_CALL', `${mesh.name} does not live in this process`);
}
