import { hostname } from 'node:os';
import { ForgeError } from '@forge/errors';
import { z } from 'zod';
import { redisAddress, withPassword } from './redis-address';
import { readNamedFile, readSecret } from './secret-file';
import { redisWaitSeconds } from './sections';
import { splitWords } from './split-words';

const serviceSchema = z.object({
  REDIS_URL: z.string().min(1),
  FORGE_RUN_ID: z.string().min(1),
  FORGE_REPLICA: z.string().min(1).default(hostname),
  FORGE_HOST: z.string().min(1).optional(),
  FORGE_HTTP_HOST: z.string().min(1).default('127.0.0.1'),
  FORGE_HTTP_PORT: z.coerce.number().int().min(0).max(65_535).default(0),
  FORGE_CALL_ADDRESS: z.string().min(1).default('unix'),
  FORGE_REDIS_WAIT_SECONDS: redisWaitSeconds(z.coerce.number()),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});

/** Settings that a service process reads from its environment. */
export interface ServiceEnvironment {
  redisUrl: string;
  runId: string;
  replica: string;
  httpHost: string;
  /** 0 takes any free port. */
  httpPort: number;
  /** Where it answers calls of other services; a scheme alone takes an address of its own. */
  callAddress: string;
  /** Under which others reach it where it listens at every interface; null: by its own address. */
  host: string | null;
  /** How long it waits for Redis, in which the recipe is that says so: `limits.redisWaitSeconds`. */
  redisWaitSeconds: number;
  logLevel: string;
}

/**
 * @throws {ForgeError} CONFIG_INVALID naming the variable that is missing or wrong; CONFIG_FILE_UNREADABLE when the
 *   password of Redis can't be read.
 */
export function serviceEnvironment(): ServiceEnvironment {
  const result = serviceSchema.safeParse({ ...process.env, REDIS_URL: redisUrl() });
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
    host: data.FORGE_HOST ?? null,
    redisWaitSeconds: data.FORGE_REDIS_WAIT_SECONDS,
    logLevel: data.LOG_LEVEL,
  };
}

/**
 * Settings that the command line reads from its environment.
 *
 * @throws {ForgeError} CONFIG_INVALID when REDIS_URL is no address; CONFIG_FILE_UNREADABLE when the password of Redis can't
 *   be read.
 */
export function cliEnvironment(): { redisUrl: string | undefined; logLevel: string } {
  return { redisUrl: redisUrl(), logLevel: process.env.LOG_LEVEL ?? 'info' };
}

/**
 * `REDIS_URL`, with the password in the file that `REDIS_PASSWORD_FILE` names where it has none of its own; undefined
 * where it is unset or empty.
 */
function redisUrl(): string | undefined {
  const { REDIS_URL: url } = process.env;
  const password = readSecret('REDIS_PASSWORD');
  if (!url) return undefined;
  const address = redisAddress(url);
  return password === null ? address : withPassword(address, password);
}

/** The run that services without a supervisor work for. */
export interface StackEnvironment {
  runId: string | undefined;
  recipe: string | undefined;
  overrides: readonly string[];
}

/** `FORGE_RUN_ID`, `FORGE_RECIPE`, and `FORGE_OVERRIDES`, whose words are `key=value`. */
export function stackEnvironment(): StackEnvironment {
  const { FORGE_RUN_ID: runId, FORGE_RECIPE: recipe, FORGE_OVERRIDES: overrides = '' } = process.env;
  return { runId: runId || undefined, recipe: recipe || undefined, overrides: splitWords(overrides) };
}

/** The environment of a service process that this process starts. */
export function childEnvironment(
  service: Pick<ServiceEnvironment, 'redisUrl' | 'runId' | 'logLevel'> &
    Partial<Pick<ServiceEnvironment, 'redisWaitSeconds'>>,
): NodeJS.ProcessEnv {
  const { redisWaitSeconds } = service;
  return {
    ...process.env,
    REDIS_URL: service.redisUrl,
    FORGE_RUN_ID: service.runId,
    LOG_LEVEL: service.logLevel,
    ...(redisWaitSeconds !== undefined && { FORGE_REDIS_WAIT_SECONDS: String(redisWaitSeconds) }),
  };
}

/** The environment of an actor process; with `gpus`, the only ones CUDA shows it. */
export function actorEnvironment(gpus: readonly number[] | null): NodeJS.ProcessEnv {
  return gpus === null ? process.env : { ...process.env, CUDA_VISIBLE_DEVICES: gpus.join(',') };
}

/** Variables that say where a program finds others, and how it speaks; none of them is a secret. */
const FOR_ANY_PROGRAM = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ'];

/** The environment of a program of the user's: of ours what any program needs. */
export function commandEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    FOR_ANY_PROGRAM.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
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
  /** `FORGE_CLUSTER_TOKEN`, or the contents of the file that `FORGE_CLUSTER_TOKEN_FILE` names. */
  token?: string;
  /** PEM, from the files `FORGE_TLS_CERT`, `FORGE_TLS_KEY` and `FORGE_TLS_CA` name. */
  tls?: { cert?: string; key?: string; ca?: string };
}

/** @throws {ForgeError} CONFIG_FILE_UNREADABLE naming the variable whose file can't be read. */
export function actorSecurity(): ActorSecurity {
  const token = readSecret('FORGE_CLUSTER_TOKEN');
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
  return path ? ({ [part]: readNamedFile(variable, path) } as Partial<Record<Part, string>>) : {};
}
