import { basename, dirname, resolve } from 'node:path';
import { namedSecret, serveChildEnvironment, type ServeSettings } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { modelFolder } from '@forge/model';
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
  const names = name ?? [dir === model ? nameOf(dir) : named];
  if (names.some((one) => one === '' || one.includes(',')))
    throw new ForgeError('CONFIG_INVALID', `--name: found ${names.join(' ')}, expected names without commas`);
  const env = serveChildEnvironment({ model: dir, names, date: dayOf(new Date()), apiKey, ...rest });
  return untilEnded(
    startServiceProcess('gateway', env),
    (address) => `${names.join(', ')}: ${address}/v1 (OpenAI), ${address} (Anthropic)`,
  );
}

/** The last name of a path that tells models apart: those of runs lie in folders of one name. */
function nameOf(dir: string): string {
  const path = resolve(dir);
  return basename(path) === 'model' ? basename(dirname(path)) : basename(path);
}
