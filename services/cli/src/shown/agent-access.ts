import { existsSync } from 'node:fs';
import { runPaths } from '@forge/contracts';

/** Where agents call the policy of a run, and where the token is found that hands out sessions. */
export function agentAccess(addresses: readonly string[], directory: string): string {
  const { gatewayToken } = runPaths(directory);
  const token = existsSync(gatewayToken) ? `in ${gatewayToken}` : 'FORGE_GATEWAY_TOKEN';
  return `call ${addresses.map((address) => `${address}/v1`).join(', ')}; the token that hands out sessions is ${token}`;
}
