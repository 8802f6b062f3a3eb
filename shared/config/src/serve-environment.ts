import { ForgeError } from '@forge/errors';
import { z } from 'zod';
import { readSecret, readToken } from './secret-file';
import { engineFields } from './sections';

const { engine, device, threads } = engineFields;
const serveSchema = z.object({
  FORGE_SERVE_MODEL: z.string().min(1),
  FORGE_SERVE_NAMES: z.string().min(1),
  FORGE_SERVE_DATE: z.iso.date().optional(),
  FORGE_SERVE_ENGINE: engine,
  FORGE_SERVE_DEVICE: device,
  FORGE_SERVE_THREADS: z.coerce.number().pipe(threads.unwrap()).optional(),
  FORGE_HTTP_HOST: z.string().min(1).default('127.0.0.1'),
  FORGE_HTTP_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});

/** A model that is served, and to whom. */
export interface ServeSettings {
  /** Directory of the model. */
  model: string;
  /** Names that clients ask for it by; the first is that of answers. */
  names: readonly string[];
  /** The day told to chat templates that ask for it (YYYY-MM-DD). */
  date?: string | undefined;
  engine?: z.output<typeof engine> | undefined;
  device?: z.output<typeof device> | undefined;
  threads?: number | undefined;
  host?: string | undefined;
  /** Left out: the usual one, or another one where that is taken. */
  port?: number | undefined;
  /** The key of those who may ask; left out: everybody who reaches the server. */
  apiKey?: string | undefined;
}

/** Settings that the gateway reads from its environment. */
export interface ServeEnvironment {
  model: string;
  names: readonly string[];
  date: string | undefined;
  engine: z.output<typeof engine>;
  device: z.output<typeof device>;
  threads: number | undefined;
  host: string;
  /** Null: the usual one, or any where that is taken. */
  port: number | null;
  apiKey: string | null;
  logLevel: string;
}

/** @throws {ForgeError} CONFIG_INVALID naming the variable that is wrong; CONFIG_FILE_UNREADABLE. */
export function serveEnvironment(): ServeEnvironment {
  const result = serveSchema.safeParse(process.env);
  if (!result.success) {
    const [issue] = result.error.issues;
    const message = `environment variable ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`;
    throw new ForgeError('CONFIG_INVALID', message);
  }
  const { data } = result;
  return {
    model: data.FORGE_SERVE_MODEL,
    names: data.FORGE_SERVE_NAMES.split(',').map((name) => name.trim()),
    date: data.FORGE_SERVE_DATE,
    engine: data.FORGE_SERVE_ENGINE,
    device: data.FORGE_SERVE_DEVICE,
    threads: data.FORGE_SERVE_THREADS,
    host: data.FORGE_HTTP_HOST,
    port: data.FORGE_HTTP_PORT ?? null,
    apiKey: readSecret('FORGE_API_KEY'),
    logLevel: data.LOG_LEVEL,
  };
}

/** Whether a gateway serves a model, and not the agents of a run. */
export function servesModel(): boolean {
  return process.env.FORGE_SERVE_MODEL !== undefined;
}

/**
 * `FORGE_GATEWAY_TOKEN`, the secret of whoever hands out sessions of a run; null: its gateway makes one.
 *
 * @throws {ForgeError} CONFIG_INVALID; CONFIG_FILE_UNREADABLE.
 */
export function gatewayToken(): string | null {
  return readToken('FORGE_GATEWAY_TOKEN');
}

/** The environment of a gateway that this process starts; what is left out is as its own says. */
export function serveChildEnvironment(settings: ServeSettings): NodeJS.ProcessEnv {
  const { model, names, date, engine, device, threads, host, port, apiKey } = settings;
  const given = {
    FORGE_SERVE_MODEL: model,
    FORGE_SERVE_NAMES: names.join(','),
    FORGE_SERVE_DATE: date,
    FORGE_SERVE_ENGINE: engine,
    FORGE_SERVE_DEVICE: device,
    FORGE_SERVE_THREADS: threads,
    FORGE_HTTP_HOST: host,
    FORGE_HTTP_PORT: port,
    // A file that is named beside the key would be another one.
    ...(apiKey !== undefined && { FORGE_API_KEY: apiKey, FORGE_API_KEY_FILE: '' }),
  };
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...process.env, ...Object.fromEntries(set.map(([name, value]) => [name, String(value)])) };
}
