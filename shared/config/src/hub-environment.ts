import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ForgeError } from '@forge/errors';
import { readSecret } from './secret-file';
import { userCache, userHome } from './user-directories';

/** Where models and data sets of the Hugging Face hub come from and are kept; the variables are those of its own tools. */
export interface HubEnvironment {
  /** Address of the hub, without a slash at its end: `HF_ENDPOINT`. */
  endpoint: string;
  /** Directory of the cache: `HF_HUB_CACHE`, else `hub` in `HF_HOME`. */
  cacheDir: string;
  /** The token, with the place it was found in, for messages; null without one. */
  token: { value: string; source: string } | null;
  /** Whether only the cache is used: `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE`. */
  isOffline: boolean;
}

/**
 * @throws {ForgeError} CONFIG_INVALID when HF_ENDPOINT is no address of http or https, or both HF_TOKEN and HF_TOKEN_FILE
 *   are set; CONFIG_FILE_UNREADABLE.
 */
export function hubEnvironment(): HubEnvironment {
  const { env } = process;
  const home = env.HF_HOME || join(userCache(), 'huggingface');
  return {
    endpoint: endpointOf(env.HF_ENDPOINT || 'https://huggingface.co'),
    cacheDir: expanded(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, 'hub')),
    token: tokenOf(expanded(env.HF_TOKEN_PATH || join(home, 'token'))),
    isOffline: isOn(env.HF_HUB_OFFLINE) || isOn(env.TRANSFORMERS_OFFLINE),
  };
}

function expanded(path: string): string {
  return path.replace(/^~(?=$|[\\/])/, userHome());
}

function endpointOf(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text.replace(/\/+$/, '');
  const message = `environment variable HF_ENDPOINT: found ${text}, expected an address such as https://huggingface.co`;
  throw new ForgeError('CONFIG_INVALID', message, { variable: 'HF_ENDPOINT' });
}

/** The token of the environment, else the one that `huggingface-cli login` has left at `path`. */
function tokenOf(path: string): HubEnvironment['token'] {
  const given = readSecret('HF_TOKEN')?.trim();
  if (given) return { value: given, source: process.env.HF_TOKEN ? 'HF_TOKEN' : 'HF_TOKEN_FILE' };
  const legacy = process.env.HUGGING_FACE_HUB_TOKEN?.trim();
  if (legacy) return { value: legacy, source: 'HUGGING_FACE_HUB_TOKEN' };
  let kept = '';
  try {
    kept = readFileSync(path, 'utf8').trim();
  } catch {
    // Most users never log in.
  }
  return kept === '' ? null : { value: kept, source: path };
}

function isOn(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? '');
}
