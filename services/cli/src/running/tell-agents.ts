import { setTimeout as sleep } from 'node:timers/promises';
import type { Registry, RunControls } from '@forge/broker';
import { agentAccess } from '../shown/agent-access';

export interface ToldAgents {
  registry: Pick<Registry, 'gatewayAddresses'>;
  controls: Pick<RunControls, 'wanted'>;
  /** Directory of the run. */
  directory: string;
  say: (message: string) => void;
}

const LOOK_MS = 500;

/**
 * Says where agents from elsewhere call, once all gateways that are wanted are ready, and again when one is at an address that
 * was not said; until `over`.
 */
export async function tellAgents(
  { registry, controls, directory, say }: ToldAgents,
  over: AbortSignal,
): Promise<void> {
  const said = new Set<string>();
  while (!over.aborted) {
    // A Redis that is away is asked again.
    const [{ replicas }, addresses] = await Promise.all([
      controls.wanted(),
      registry.gatewayAddresses(),
    ]).catch(() => [{ replicas: new Map<string, number>() }, []] as const);
    const areAll = addresses.length >= (replicas.get('gateway') ?? 1);
    if (areAll && addresses.some((address) => !said.has(address))) {
      for (const address of addresses) said.add(address);
      say(`agents ${agentAccess(addresses, directory)}`);
    }
    await sleep(LOOK_MS, undefined, { signal: over }).catch(() => undefined);
  }
}
