import { AsyncLocalStorage } from 'node:async_hooks';
import { ForgeError } from '@forge/errors';
import { rootOwner, type Owner } from './supervision';

/** Facts about a call, for the endpoint that answers it. */
export interface CallContext {
  /** Fires when the caller cancels, gives up, or is gone, and when the actor stops. */
  readonly signal: AbortSignal;
  /** The sticky session the call belongs to. */
  readonly session: string | undefined;
  /** The same for every attempt of one call: guard an effect by it and it happens once. */
  readonly key: string;
  readonly headers: Readonly<Record<string, string>> | undefined;
}

interface Scope {
  readonly owner: Owner;
  readonly call: CallContext | null;
}

const scopes = new AsyncLocalStorage<Scope>();
let isActorProcess = false;
let spawnWhileLoading: ForgeError | null = null;

/** Runs code of an actor: what it spawns is owned by `owner`. */
export function runInScope<T>(owner: Owner, call: CallContext | null, run: () => T): T {
  return scopes.run({ owner, call }, run);
}

/** Runs code that belongs to no actor, although an actor asks for it. */
export function runOutOfScope<T>(run: () => T): T {
  return scopes.exit(run);
}

/** @throws {ForgeError} CONTRACT_INVALID_CALL outside an endpoint. */
export function callContext(): CallContext {
  const call = scopes.getStore()?.call;
  if (call) return call;
  throw new ForgeError('CONTRACT_INVALID_CALL', 'callContext() is for code that an endpoint runs');
}

/**
 * The owner of what is spawned here: the actor whose code runs, else the program.
 *
 * @throws {ForgeError} CONFIG_ACTOR_UNLOADABLE in an actor process outside any actor: a module that spawns while it
 *   is loaded would do so again in every process.
 */
export function currentOwner(): Owner {
  const scope = scopes.getStore();
  if (scope !== undefined) return scope.owner;
  if (!isActorProcess) return rootOwner;
  spawnWhileLoading = new ForgeError(
    'CONFIG_ACTOR_UNLOADABLE',
    'a module that defines actors spawns while it is loaded, which happens in every process: put that into runMain(async () => { ... })',
  );
  throw spawnWhileLoading;
}

/** Called by the main module of an actor process. */
export function enterActorProcess(): void {
  isActorProcess = true;
}

/** The error of the last spawn that was attempted by a module under load. */
export function refusedSpawn(): ForgeError | null {
  return spawnWhileLoading;
}

/**
 * Runs the main part of a script that also defines actors: in the program, and not in the actor processes that load
 * the script for its classes. What it has spawned and not stopped ends with it; an error makes the exit code 1.
 */
export function runMain(main: () => Promise<void>): void {
  if (isActorProcess) return;
  main()
    .finally(() => rootOwner.stopOwned())
    .catch((error: unknown) => {
      console.error(error);
      process.exitCode = 1;
    });
}
