import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hubEnvironment, nearest, type HubEnvironment } from '@forge/config';
import {
  bytesInWords,
  cancelled,
  downloadFile,
  partialBytes,
  requireSpace,
  underLock,
  type DownloadWatch,
  type RemoteFile,
} from '@forge/downloads';
import { ForgeError } from '@forge/errors';
import { hubAccess, type HubAccess } from './hub-access';
import { isCommit, type HubName } from './hub-name';
import { NO_REPOSITORY } from './refusal';
import { described, missing, type Repository, type RepositoryKind } from './repository';
import { RepositoryCache } from './repository-cache';

/** Space that a download leaves free. */
const SPARE_BYTES = 100e6;
/** Repositories of one owner that are looked through for a name like the one asked for. */
const MAX_NAMES = 500;

/** A repository of the hub at one commit, and the part of it that the cache has. */
export class HubRepository {
  /** The folder with its files; those that were not downloaded are missing. */
  readonly dir: string;
  #tree: Promise<ReadonlyMap<string, RemoteFile>> | null = null;

  private constructor(
    readonly repository: Repository,
    readonly commit: string,
    private readonly cache: RepositoryCache,
    private readonly environment: HubEnvironment,
    private readonly watch: DownloadWatch,
    private readonly access: HubAccess,
  ) {
    this.dir = cache.snapshot(commit);
  }

  /**
   * The commit that a branch or tag means now is asked of the hub; offline, of the cache. A commit is taken as it is. A hub that
   * can't be reached is asked once where the name is a guess (`isGuess`), and the cache has nothing by it.
   *
   * @throws {ForgeError} CONFIG_MODEL_MISSING (of a data set CONFIG_FILE_UNREADABLE) with the nearest name that the hub or
   *   the cache has; CONTRACT_UNAUTHORIZED; TRANSIENT_HUB_UNREACHABLE; CANCELLED.
   */
  static async open(
    kind: RepositoryKind,
    { name, revision, isGuess = false }: HubName & { isGuess?: boolean },
    watch: DownloadWatch = {},
    environment: HubEnvironment = hubEnvironment(),
  ): Promise<HubRepository> {
    const repository = { kind, name, revision };
    const cache = new RepositoryCache(environment.cacheDir, repository);
    const isKnown = (await cache.commitOf(revision ?? 'main')) !== null;
    const access = hubAccess(repository, environment, watch, isGuess && !isKnown);
    const commit = isCommit(revision)
      ? revision
      : environment.isOffline
        ? await cachedCommit(repository, cache, environment)
        : await currentCommit(repository, cache, environment, access.fetch);
    return new HubRepository(repository, commit, cache, environment, watch, access);
  }

  /** How a recipe names it so that it means the same bytes for good. */
  get pinned(): string {
    return `${this.repository.name}@${this.commit}`;
  }

  /** Whether the cache is all there is. */
  get isOffline(): boolean {
    return this.environment.isOffline;
  }

  /** Whether of each path it is known that the cache has it or the commit does not, so that nothing need be asked. */
  async isSettled(paths: readonly string[]): Promise<boolean> {
    for (const path of paths) if (!(await this.cache.isSettled(this.commit, path))) return false;
    return true;
  }

  /** The paths of all files; offline, of those that the cache has. */
  async paths(): Promise<string[]> {
    if (this.environment.isOffline) return this.cache.paths(this.commit);
    return [...(await this.tree()).keys()];
  }

  /** The text of a file, which is downloaded where it is missing. */
  async text(path: string): Promise<string> {
    await this.fetchAll([path], {});
    return readFile(join(this.dir, path), 'utf8');
  }

  /**
   * Brings the files to the cache that it lacks, and notes of `absent` that this commit does not have them. Another process that
   * downloads of the same repository is waited for.
   *
   * @throws {ForgeError} CAPACITY_DISK_FULL before it begins; CONTRACT_DOWNLOAD_CORRUPT; CANCELLED; as `open`.
   */
  async download(paths: readonly string[], absent: readonly string[] = []): Promise<void> {
    await this.fetchAll(paths, this.watch);
    if (this.environment.isOffline) return;
    for (const path of absent) await this.cache.noteAbsence(this.commit, path);
  }

  private async fetchAll(paths: readonly string[], watch: DownloadWatch): Promise<void> {
    if ((await this.lacking(paths)).length === 0) return;
    if (this.environment.isOffline) throw await this.notCached(paths);
    const { signal, say } = this.watch;
    const { name } = this.repository;
    const onWait = (holder: string): void => say?.(`${holder} downloads ${name} already; waiting for it`);
    await underLock(join(this.cache.root, '.forge-lock'), { signal, onWait }, async () => {
      const tree = await this.tree();
      const files = (await this.lacking(paths)).map((path) => {
        const file = tree.get(path);
        if (file === undefined)
          throw missing(this.repository, `${described(this.repository)} has no file ${path}`);
        return file;
      });
      const fetched = await this.linked(files);
      if (fetched.length > 0) await this.transfer(fetched, watch);
    });
  }

  /** Links the files whose blobs another commit has brought; the others. */
  private async linked(files: readonly RemoteFile[]): Promise<RemoteFile[]> {
    const others: RemoteFile[] = [];
    for (const file of files)
      if (await this.cache.hasBlob(file.digest)) await this.cache.link(this.commit, file.name, file.digest);
      else others.push(file);
    return others;
  }

  private async transfer(files: readonly RemoteFile[], watch: DownloadWatch): Promise<void> {
    const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const done: number[] = [];
    for (const { digest, sizeBytes } of files)
      done.push(Math.min(sizeBytes, await partialBytes(this.cache.blob(digest))));
    const doneBytes = (): number => done.reduce((sum, bytes) => sum + bytes, 0);
    const lackingBytes = totalBytes - doneBytes();
    const { name, revision } = this.repository;
    const { root } = this.cache;
    const { source, fetch } = this.access;
    await requireSpace(root, {
      what: described(this.repository),
      bytes: lackingBytes + SPARE_BYTES,
      variable: source.directoryVariable,
    });
    const there = lackingBytes < totalBytes ? `, of which ${bytesInWords(doneBytes())} are here` : '';
    const what = `${name} (${isCommit(revision) ? '' : `${revision ?? 'main'}, `}commit ${this.commit.slice(0, 12)})`;
    watch.say?.(
      `downloading ${what} to ${root}: ${files.length} ${files.length === 1 ? 'file' : 'files'}, ${bytesInWords(totalBytes)}${there}`,
    );
    if ((await watch.confirm?.(lackingBytes)) === false) throw cancelled();
    for (const [i, file] of files.entries()) {
      const onBytes = (bytes: number): void => {
        done[i] = bytes;
        watch.onProgress?.({ doneBytes: doneBytes(), totalBytes });
      };
      await downloadFile(this.cache.blob(file.digest), { file, source, fetch, watch: this.watch, onBytes });
      await this.cache.link(this.commit, file.name, file.digest);
    }
  }

  private addressOf(path: string): string {
    const { kind, name } = this.repository;
    const prefix = kind === 'model' ? '' : 'datasets/';
    const encoded = path.split('/').map(encodeURIComponent).join('/');
    return `${this.environment.endpoint}/${prefix}${name}/resolve/${this.commit}/${encoded}`;
  }

  /** The paths that the cache does not have. */
  private async lacking(paths: readonly string[]): Promise<string[]> {
    const lacking: string[] = [];
    for (const path of paths) if (!(await this.cache.has(this.commit, path))) lacking.push(path);
    return lacking;
  }

  private tree(): Promise<ReadonlyMap<string, RemoteFile>> {
    this.#tree ??= this.readTree().catch((error: unknown) => {
      throw notOfHub(error, this.environment);
    });
    return this.#tree;
  }

  private async readTree(): Promise<ReadonlyMap<string, RemoteFile>> {
    const { listFiles } = await import('@huggingface/hub');
    const { kind, name } = this.repository;
    const files = new Map<string, RemoteFile>();
    const entries = listFiles({
      repo: { type: kind, name },
      revision: this.commit,
      recursive: true,
      hubUrl: this.environment.endpoint,
      fetch: this.access.fetch,
    });
    for await (const { type, path, size, oid, lfs } of entries) {
      if (type !== 'file' || !isInside(path)) continue;
      const etag = lfs?.oid ?? oid ?? '';
      if (!/^[0-9a-f]{40}$|^[0-9a-f]{64}$/.test(etag)) continue;
      const sizeBytes = lfs?.size ?? size;
      const file = { name: path, address: this.addressOf(path), sizeBytes, digest: etag };
      // Git hashes the files that it keeps itself behind a header.
      if (lfs === undefined) files.set(path, { ...file, algorithm: 'sha1', prefix: `blob ${sizeBytes}\0` });
      else files.set(path, { ...file, algorithm: 'sha256' });
    }
    return files;
  }

  private async notCached(paths: readonly string[]): Promise<ForgeError> {
    const lacking = await this.lacking(paths);
    const message = `${described({ ...this.repository, revision: this.commit })}: HF_HUB_OFFLINE is set, and ${this.dir} lacks ${lacking.join(', ')}; unset it and run forge download ${this.pinned}${this.repository.kind === 'dataset' ? ' --dataset' : ''} once`;
    return missing(this.repository, message);
  }
}

/** Whether a path that a hub lists stays inside of the folder it is put in. */
function isInside(path: string): boolean {
  return (
    !path.startsWith('/') && !path.split(/[\\/]/).some((part) => part === '..' || part === '' || part === '.')
  );
}

async function cachedCommit(
  repository: Repository,
  cache: RepositoryCache,
  { cacheDir }: HubEnvironment,
): Promise<string> {
  const commit = await cache.commitOf(repository.revision ?? 'main');
  if (commit !== null) return commit;
  const message = `${described(repository)}: HF_HUB_OFFLINE is set, and it is not in ${cacheDir}; unset it and run forge download ${repository.name} once`;
  throw missing(repository, message, { reason: NO_REPOSITORY });
}

async function currentCommit(
  repository: Repository,
  cache: RepositoryCache,
  environment: HubEnvironment,
  fetch: typeof globalThis.fetch,
): Promise<string> {
  const { modelInfo, datasetInfo } = await import('@huggingface/hub');
  const { kind, name } = repository;
  const revision = repository.revision ?? 'main';
  const asked = { name, revision, hubUrl: environment.endpoint, fetch };
  try {
    const { sha } =
      kind === 'model'
        ? await modelInfo({ ...asked, additionalFields: ['sha'] })
        : await datasetInfo({ ...asked, additionalFields: ['sha'] });
    if (!isCommit(sha)) throw missing(repository, `${environment.endpoint} names no commit of ${name}`);
    await cache.noteCommit(revision, sha);
    return sha;
  } catch (error) {
    if (!(error instanceof ForgeError) || error.details.reason !== NO_REPOSITORY)
      throw notOfHub(error, environment);
    const near = await nearestName(repository, environment, fetch);
    const hint = near === null ? '' : `; did you mean ${near}?`;
    const wayIn =
      environment.token === null
        ? '; one that is private needs HF_TOKEN'
        : '; a private one needs a token that may see it';
    throw missing(repository, `${error.message}${hint === '' ? wayIn : hint}`, { reason: NO_REPOSITORY });
  }
}

/** The error for an answer that can't be read, as a server that is no hub gives it; any other error as it is. */
function notOfHub(error: unknown, { endpoint }: HubEnvironment): unknown {
  const { name, message: reason } = error as Error;
  if (name !== 'SyntaxError' && name !== 'TypeError') return error;
  const message = `${endpoint} does not answer as a hub does (${reason}); correct HF_ENDPOINT`;
  return new ForgeError('CONFIG_INVALID', message, { variable: 'HF_ENDPOINT' }, { cause: error });
}

/** The repository of the hub with the name most like the one that is missing; null where none is like it. */
async function nearestName(
  { kind, name }: Repository,
  { endpoint }: HubEnvironment,
  fetch: typeof globalThis.fetch,
): Promise<string | null> {
  const { listModels, listDatasets } = await import('@huggingface/hub');
  const [owner, own] = name.split('/') as [string, string];
  const names: string[] = [];
  try {
    for (const search of [{ owner }, { query: own }]) {
      const asked = { search, hubUrl: endpoint, limit: MAX_NAMES, fetch };
      const found = kind === 'model' ? listModels(asked) : listDatasets(asked);
      for await (const entry of found) names.push(entry.name);
      const near = nearest(name, names);
      if (near !== null) return near;
    }
  } catch {
    // A hub that lists nothing has no hint.
  }
  return null;
}
