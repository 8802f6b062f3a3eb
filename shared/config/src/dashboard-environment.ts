import { ForgeError } from '@forge/errors';
import { z } from 'zod';
import { readToken } from './secret-file';

const dashboardSchema = z.object({
  FORGE_RUNS_DIR: z.string().min(1).default('runs'),
  FORGE_HTTP_HOST: z.string().min(1).default('127.0.0.1'),
  FORGE_HTTP_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});

/** Settings that the dashboard reads from its environment. */
export interface DashboardEnvironment {
  /** Output directory of the runs. */
  runsDir: string;
  host: string;
  /** Null: any, but its own where that is free. */
  port: number | null;
  /** The secret of those who may change something; null: the dashboard makes one. */
  token: string | null;
  logLevel: string;
}

/** @throws {ForgeError} CONFIG_INVALID naming the variable that is wrong; CONFIG_FILE_UNREADABLE. */
export function dashboardEnvironment(): DashboardEnvironment {
  const result = dashboardSchema.safeParse(process.env);
  if (!result.success) {
    const [issue] = result.error.issues;
    const message = `environment variable ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`;
    throw new ForgeError('CONFIG_INVALID', message);
  }
  const token = readToken('FORGE_DASHBOARD_TOKEN');
  const { FORGE_RUNS_DIR, FORGE_HTTP_HOST, FORGE_HTTP_PORT, LOG_LEVEL } = result.data;
  return {
    runsDir: FORGE_RUNS_DIR,
    host: FORGE_HTTP_HOST,
    port: FORGE_HTTP_PORT ?? null,
    token,
    logLevel: LOG_LEVEL,
  };
}

/** The environment of a dashboard that this process starts; what is left out is as its own says. */
export function dashboardChildEnvironment(options: {
  runsDir: string;
  host?: string;
  port?: number;
}): NodeJS.ProcessEnv {
  const { runsDir, host, port } = options;
  return {
    ...process.env,
    FORGE_RUNS_DIR: runsDir,
    ...(host !== undefined && { FORGE_HTTP_HOST: host }),
    ...(port !== undefined && { FORGE_HTTP_PORT: String(port) }),
  };
}
