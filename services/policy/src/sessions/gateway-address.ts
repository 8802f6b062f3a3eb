import { setTimeout as sleep } from 'node:timers/promises';
import type { Registry } from '@forge/broker';

const LOOK_MS = 200;

/**
 * Address at which agents reach a gateway of the run, without `/v1`, as soon as one is ready.
 *
 * @throws the reason of the signal.
 */
export async function gatewayAddress(
  registry: Pick<Registry, 'gatewayAddresses'>,
  signal: AbortSignal,
): Promise<string> {
  for (;;) {
    signal.throwIfAborted();
    const [address] = await registry.gatewayAddresses();
    if (address !== undefined) return address;
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}
