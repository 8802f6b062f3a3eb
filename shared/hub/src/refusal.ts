import type { HubEnvironment } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { described, missing, pageOf, type Repository } from './repository';

/** The fault of a repository that is not there, or is hidden from whoever asks. */
export const NO_REPOSITORY = 'no repository';

/**
 * The error for an answer that a hub will give again. A hub hides private repositories: it answers 401 or 404 to those
 * who may not see one.
 *
 * CONTRACT_UNAUTHORIZED for a gated repository or a token that does not count; CONFIG_MODEL_MISSING or CONFIG_FILE_UNREADABLE,
 * by the kind of repository, for what is not there.
 */
export async function refusalOf(
  response: Response,
  repository: Repository,
  environment: HubEnvironment,
): Promise<ForgeError> {
  const { status, headers } = response;
  const code = headers.get('x-error-code');
  const said = headers.get('x-error-message') ?? (await messageOf(response));
  const page = pageOf(repository, environment);
  const what = described(repository);
  const { token } = environment;
  if (code === 'RevisionNotFound' || (status === 404 && /revision/i.test(said))) {
    const message = `${what}: ${page} has no such revision; leave it out for the newest, or see ${page}/tree/main for those there are`;
    return missing(repository, message);
  }
  if (code === 'EntryNotFound') return missing(repository, `${what}: ${page} has no such file (${said})`);
  if (code === 'RepoNotFound' || status === 404 || (status === 401 && code === null && token === null)) {
    return missing(repository, `${environment.endpoint} has no ${what}`, { reason: NO_REPOSITORY });
  }
  if (status === 401 && code !== 'GatedRepo') {
    const message = `${environment.endpoint} does not accept the token of ${token?.source ?? 'HF_TOKEN'} (${said}); make one at ${environment.endpoint}/settings/tokens`;
    return new ForgeError('CONTRACT_UNAUTHORIZED', message, { status });
  }
  if (status === 401 || status === 403) {
    const found = token === null ? 'no token is set' : `the token of ${token.source} has none`;
    const message = `${what} needs permission, and ${found}; ask for it at ${page}, and set HF_TOKEN to a token of your account (${environment.endpoint}/settings/tokens)`;
    return new ForgeError('CONTRACT_UNAUTHORIZED', message, { status, page });
  }
  return missing(repository, `${what}: ${environment.endpoint} answers ${status}: ${said}`);
}

async function messageOf(response: Response): Promise<string> {
  const text = await response.text().catch(() => '');
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === 'string') return error.slice(0, 200);
  } catch {
    // Proxies answer with pages.
  }
  return (
    text
      .replace(/<[^>]*>/g, ' ')
      .trim()
      .slice(0, 200) || response.statusText
  );
}
