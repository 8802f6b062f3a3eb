import { ForgeError } from '@forge/errors';
import type { DownloadSource } from '@forge/downloads';

/** Indexes of Python packages. */
export const INDEX_SOURCE: DownloadSource = {
  unreachable: 'TRANSIENT_INDEX_UNREACHABLE',
  wayOut: 'for a mirror set PIP_INDEX_URL, without a network FORGE_LIBTENSORFLOW (docs/engines.md)',
  directoryVariable: 'XDG_CACHE_HOME',
  refusal: ({ url, status }) => Promise.resolve(refusalOf(url, status)),
};

function refusalOf(url: string, status: number): ForgeError {
  if (status === 401 || status === 403) {
    const message = `${url} answers ${status}; put user and password into PIP_INDEX_URL (https://USER:PASSWORD@HOST/simple), or ask those who run it`;
    return new ForgeError('CONTRACT_UNAUTHORIZED', message, { url, status });
  }
  const message = `${url} answers ${status}; name an index that has it by PIP_INDEX_URL`;
  return new ForgeError('CONFIG_INVALID', message, { url, status });
}
