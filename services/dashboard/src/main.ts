import { dashboardEnvironment } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { createLogger } from '@forge/telemetry';
import { start } from './service';

/** How long clients may keep it from ending. */
const CLOSE_MS = 5_000;

async function main(): Promise<void> {
  const { logLevel, ...environment } = dashboardEnvironment();
  const logger = createLogger({ service: 'dashboard', level: logLevel });
  const dashboard = await start({ ...environment, logger });
  if (process.send) process.send({ address: dashboard.address });
  else process.stdout.write(`dashboard: ${dashboard.address}\n`);

  const end = (): void => {
    setTimeout(() => process.exit(0), CLOSE_MS).unref();
    void dashboard.close().finally(() => process.exit(0));
  };
  process.on('SIGTERM', end);
  process.on('disconnect', end);
  // The process that started it says when it is to end; a terminal tells both.
  process.on('SIGINT', () => {
    if (!process.send) end();
  });
}

main().catch((error: unknown) => {
  const { code, message } = ForgeError.from(error);
  process.stderr.write(`dashboard: ${message} [${code}]\n`);
  process.exit(code.startsWith('CONFIG_') ? 2 : 1);
});
