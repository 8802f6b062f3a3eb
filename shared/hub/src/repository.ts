import type { HubEnvironment } from '@forge/config';
import { ForgeError, type ErrorCode } from '@forge/errors';
import type { HubName } from './hub-name';

export type RepositoryKind = 'model' | 'dataset';

/** A repository of the hub at a revision. */
export interface Repository extends HubName {
  kind: RepositoryKind;
}

const WORDS = { model: 'model', dataset: 'data set' } as const;

/** The repository in words: `model org/name`. */
export function described({ kind, name, revision }: Repository): string {
  return `${WORDS[kind]} ${name}${revision === null ? '' : `@${revision}`}`;
}

/** The page of a repository, for people. */
export function pageOf({ kind, name }: Repository, { endpoint }: Pick<HubEnvironment, 'endpoint'>): string {
  return kind === 'model' ? `${endpoint}/${name}` : `${endpoint}/datasets/${name}`;
}

/** The error of a repository that is not there, or lacks something. */
export function missing(
  repository: Repository,
  problem: string,
  details: Readonly<Record<string, string>> = {},
): ForgeError {
  const code: ErrorCode = repository.kind === 'model' ? 'CONFIG_MODEL_MISSING' : 'CONFIG_FILE_UNREADABLE';
  return new ForgeError(code, problem, { name: repository.name, ...details });
}
