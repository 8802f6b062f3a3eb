import { readFileSync } from 'node:fs';
import { ForgeError } from '@forge/errors';
import { z } from 'zod';

const serviceSchema = z.object({
  REDIS_URL: z.string().min(1),
  FORGE_RUN_ID: z.string().min(1),
  FORGE_REPLICA: z.string().min(1).default('0'),
  FORGE_HTTP_HOST: z.string().min(1).default('127.0.0.1'),
  FORGE_HTTP_PORT: z.coerce.number().int().min(0).max(65_535).default(0),
  FORGE_CALL_ADDRESS: z.string().min(1).default('unix'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});

/** What a service process is told by its environment. */
export interface ServiceEnvironment {
  redisUrl: string;
  runId: string;
  replica: string;
  httpHost: string;
  /** 0 takes any free port. */
  httpPort: number;
  /** Where it answers calls of other services; a scheme alone takes an address of its own. */
  callAddress: string;
  logLevel: string;
}

/** @throws {ForgeError} CONFIG_INVALID naming the variable that is missing or wrong. */
export function serviceEnvironment(): ServiceEnvironment {
  const result = serviceSchema.safeParse(process.env);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new ForgeError(
      'CONFIG_INVALID',
      `environment variable ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
    );
  }
  const { data } = result;
  return {
    redisUrl: data.REDIS_URL,
    runId: data.FORGE_RUN_ID,
    replica: data.FORGE_REPLICA,
    httpHost: data.FORGE_HTTP_HOST,
    httpPort: data.FORGE_HTTP_PORT,
    callAddress: data.FORGE_CALL_ADDRESS,
    logLevel: data.LOG_LEVEL,
  };
}

/** What the command line is told by its environment. */
export function cliEnvironment(): { redisUrl: string | undefined; logLevel: string } {
  return { redisUrl: process.env.REDIS_URL || undefined, logLevel: process.env.LOG_LEVEL ?? 'info' };
}

/** The environment of a service process that this process starts. */
export function childEnvironment(
  service: Pick<ServiceEnvironment, 'redisUrl' | 'runId' | 'logLevel'>,
): NodeJS.ProcessEnv {
  return {
    ...process.env,
    REDIS_URL: service.redisUrl,
    FORGE_RUN_ID: service.runId,
    LOG_LEVEL: service.logLevel,
  };
}

/** The environment of an actor process; with `gpus`, the only ones CUDA shows it. */
export function actorEnvironment(gpus: readonly number[] | null): NodeJS.ProcessEnv {
  return gpus === null ? process.env : { ...process.env, CUDA_VISIBLE_DEVICES: gpus.join(',') };
}

/**
 * The GPUs `CUDA_VISIBLE_DEVICES` leaves to this process, each once; null where it is unset or empty: all there are.
 *
 * @throws {ForgeError} CONFIG_INVALID for anything but indices.
 */
export function visibleGpus(): readonly number[] | null {
  const text = process.env.CUDA_VISIBLE_DEVICES?.trim();
  if (!text) return null;
  const ids = text.split(',').map((part) => (/^\s*\d+\s*$/.test(part) ? Number(part) : NaN));
  if (ids.some(Number.isNaN))
    throw new ForgeError(
      'CONFIG_INVALID',
      `environment variable CUDA_VISIBLE_DEVICES: expected indices as in 0,1, found ${text}`,
      { found: text },
    );
  return [...new Set(ids)].sort((a, b) => a - b);
}

/** How actor processes on different hosts know each other, and keep others out. */
export interface ActorSecurity {
  /** `FORGE_CLUSTER_TOKEN` */
  token?: string;
  /** PEM, from the files `FORGE_TLS_CERT`, `FORGE_TLS_KEY` and `FORGE_TLS_CA` name. */
  tls?: { cert?: string; key?: string; ca?: string };
}

/** @throws {ForgeError} CONFIG_FILE_UNREADABLE naming the variable whose file can't be read. */
export function actorSecurity(): ActorSecurity {
  const token = process.env.FORGE_CLUSTER_TOKEN;
  const tls = {
    ...pem('FORGE_TLS_CERT', 'cert'),
    ...pem('FORGE_TLS_KEY', 'key'),
    ...pem('FORGE_TLS_CA', 'ca'),
  };
  return { ...(token && { token }), ...(Object.keys(tls).length > 0 && { tls }) };
}

/** The agents whose hosts `FORGE_HOSTS` names, separated by commas; none where it is unset. */
export function agentAddresses(): readonly string[] {
  const addresses = process.env.FORGE_HOSTS?.split(',') ?? [];
  return addresses.map((address) => address.trim()).filter((address) => address !== '');
}

function pem<Part extends string>(variable: string, part: Part): Partial<Record<Part, string>> {
  const path = process.env[variable];
  if (!path) return {};
  try {
    return { [part]: readFileSync(path, 'utf8') } as Partial<Record<Part, string>>;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ForgeError(
      'CONFIG_FILE_UNREADABLE',
      `environment variable ${variable}: ${reason}`,
      { variable, path },
      { cause },
    );
  }
}
