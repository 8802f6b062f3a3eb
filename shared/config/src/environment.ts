import { ForgeError } from '@forge/errors';
import { z } from 'zod';

const serviceSchema = z.object({
  REDIS_URL: z.string().min(1),
  FORGE_RUN_ID: z.string().min(1),
  FORGE_REPLICA: z.string().min(1).default('0'),
  FORGE_HTTP_HOST: z.string().min(1).default('127.0.0.1'),
  FORGE_HTTP_PORT: z.coerce.number().int().min(0).max(65_535).default(0),
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
  const { REDIS_URL, FORGE_RUN_ID, FORGE_REPLICA, FORGE_HTTP_HOST, FORGE_HTTP_PORT, LOG_LEVEL } = result.data;
  return {
    redisUrl: REDIS_URL,
    runId: FORGE_RUN_ID,
    replica: FORGE_REPLICA,
    httpHost: FORGE_HTTP_HOST,
    httpPort: FORGE_HTTP_PORT,
    logLevel: LOG_LEVEL,
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
