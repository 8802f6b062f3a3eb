import { basename } from 'node:path';
import { namedSecret, serveChildEnvironment, type ServeSettings } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { modelFolder, readModelConfig } from '@forge/model';
import { startServiceProcess, untilEnded } from '../running/service-process';
import { dayOf } from '../start-day';
import { withDownloads } from '../with-downloads';

export interface ServeOptions extends Pick<ServeSettings, 'engine' | 'device' | 'threads' | 'host' | 'port'> {
  name?: string[];
  apiKeyEnv?: string;
}

/** `forge serve MODEL`: an OpenAI- and Anthropic-compatible server for a model, until Ctrl-C. */
export async function serve(named: string, options: ServeOptions): Promise<number> {
  const { name, apiKeyEnv, ...rest } = options;
  const apiKey = apiKeyEnv === undefined ? undefined : namedSecret(apiKeyEnv, '--api-key-env');
  const { dir, model } = await withDownloads((watch) => modelFolder(named, watch));
  // A folder that is no model is told before anything starts.
  await readModelConfig(dir);
  const names = name ?? [dir === model ? basename(dir) : named];
  if (names.some((one) => one === '' || one.includes(',')))
    throw new ForgeError('CONFIG_INVALID', `--name: found ${names.join(' ')}, expected names without commas`);
  const env = serveChildEnvironment({ model: dir, names, date: dayOf(new Date()), apiKey, ...rest });
  return untilEnded(
    startServiceProcess('gateway', env),
    (address) => `${names.join(', ')}: ${address}/v1 (OpenAI), ${address} (Anthropic)`,
  );
}
