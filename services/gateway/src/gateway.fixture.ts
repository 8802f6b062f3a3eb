import type { Logger } from '@forge/telemetry';
import type { GatewayPolicy } from './answers/gateway-policy';
import type { Gateway } from './gateway-server';
import { serveModel, type ServedModelOptions } from './serving/serve-model';

/** A gateway at a free port, and what it has warned of. */
export async function startGateway(
  policy: GatewayPolicy,
  options: Partial<ServedModelOptions> = {},
): Promise<Gateway & { warnings: unknown[] }> {
  const warnings: unknown[] = [];
  const logger = {
    info: () => undefined,
    warn: (fields: unknown) => warnings.push(fields),
  } as unknown as Logger;
  const usual = { host: '127.0.0.1', port: 0, names: ['tiny'], apiKey: null };
  return { ...(await serveModel({ ...usual, policy, logger, ...options })), warnings };
}

/** Posts a body; status and answer. */
export async function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: Headers; body: Record<string, unknown> }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  };
}
