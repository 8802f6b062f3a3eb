import type { HubEnvironment } from '@forge/config';
import { patientFetch, type DownloadSource, type DownloadWatch } from '@forge/downloads';
import { refusalOf } from './refusal';
import type { Repository } from './repository';

/** A hub, as one repository of it is asked for. */
export interface HubAccess {
  source: DownloadSource;
  /** A `patientFetch` that shows the token to the hub alone, and not to where it redirects. */
  fetch: typeof fetch;
}

export function hubAccess(
  repository: Repository,
  environment: HubEnvironment,
  watch: DownloadWatch,
  isGuess = false,
): HubAccess {
  const { endpoint, cacheDir, token } = environment;
  const source: DownloadSource = {
    unreachable: 'TRANSIENT_HUB_UNREACHABLE',
    wayOut: `set HF_HUB_OFFLINE=1 to use what ${cacheDir} has, or name a directory`,
    directoryVariable: 'HF_HOME',
    isGuess,
    refusal: (response) => refusalOf(response, repository, environment),
  };
  const patient = patientFetch(source, watch);
  const { origin } = new URL(endpoint);
  return {
    source,
    fetch: (input, init) => {
      const { url } = input instanceof Request ? input : { url: String(input) };
      const headers = new Headers(init?.headers);
      if (token !== null && new URL(url).origin === origin)
        headers.set('authorization', `Bearer ${token.value}`);
      return patient(url, { ...init, headers });
    },
  };
}
