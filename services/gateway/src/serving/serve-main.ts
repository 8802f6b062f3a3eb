import { availableParallelism } from 'node:os';
import { serveEnvironment } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { createLogger } from '@forge/telemetry';
import { serveModel } from './serve-model';
import { ServedPolicy } from './served-policy';

/** Serves a model as this process, until it is told to end. */
export function serveMain(): void {
  serve().catch((error: unknown) => {
    const { code, message } = ForgeError.from(error);
    process.stderr.write(`gateway: ${message} [${code}]\n`);
    process.exit(code.startsWith('CONFIG_') ? 2 : 1);
  });
}

async function serve(): Promise<void> {
  const { logLevel, model, date, engine, device, threads, ...environment } = serveEnvironment();
  const logger = createLogger({ service: 'gateway', level: logLevel });
  const policy = await ServedPolicy.open({
    ...{ model, date, engine, device },
    threads: threads ?? availableParallelism(),
  });
  const gateway = await serveModel({ ...environment, policy, logger });
  if (process.send) process.send({ address: gateway.url });
  else process.stdout.write(`gateway: ${gateway.url}\n`);

  let isEnding = false;
  const end = (): void => {
    if (isEnding) process.exit(0);
    isEnding = true;
    void gateway
      .close()
      .then(() => policy.close())
      .finally(() => process.exit(0));
  };
  process.on('SIGTERM', end);
  process.on('disconnect', end);
  // The process that started it says when it is to end; a terminal tells both.
  process.on('SIGINT', () => {
    if (!process.send) end();
  });
}
