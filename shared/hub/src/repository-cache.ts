import { copyFile, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { absentAs, replaceFile } from '@forge/files';
import { isCommit } from './hub-name';
import type { Repository } from './repository';

/**
 * The part of the hub's cache that belongs to one repository, as its own tools in Python lay it out, so that all share
 * what one of them fetched: `blobs/<etag>`, `refs/<branch or tag>` with a commit, `snapshots/<commit>/<path>`, which link to
 * blobs, and empty files `.no_exist/<commit>/<path>` for what a commit is known not to have.
 */
export class RepositoryCache {
  readonly root: string;

  constructor(cacheDir: string, { kind, name }: Repository) {
    this.root = join(cacheDir, `${kind}s--${name.replace('/', '--')}`);
  }

  blob(etag: string): string {
    return join(this.root, 'blobs', etag);
  }

  hasBlob(etag: string): Promise<boolean> {
    return isThere(this.blob(etag));
  }

  snapshot(commit: string): string {
    return join(this.root, 'snapshots', commit);
  }

  /** The commit that a revision meant when the hub was asked last; null when it never was. */
  async commitOf(revision: string): Promise<string | null> {
    if (isCommit(revision)) return revision;
    const text = await absentAs(null, () => readFile(join(this.root, 'refs', revision), 'utf8'));
    return text === null || !isCommit(text.trim()) ? null : text.trim();
  }

  async noteCommit(revision: string, commit: string): Promise<void> {
    if (isCommit(revision)) return;
    const path = join(this.root, 'refs', revision);
    await mkdir(dirname(path), { recursive: true });
    await replaceFile(path, commit);
  }

  async has(commit: string, path: string): Promise<boolean> {
    return isThere(join(this.snapshot(commit), path));
  }

  /** Whether it is known of a file that the cache has it, or that the commit does not. */
  async isSettled(commit: string, path: string): Promise<boolean> {
    return (await this.has(commit, path)) || isThere(join(this.root, '.no_exist', commit, path));
  }

  async noteAbsence(commit: string, path: string): Promise<void> {
    const marker = join(this.root, '.no_exist', commit, path);
    await mkdir(dirname(marker), { recursive: true });
    await writeFile(marker, '');
  }

  /** The paths of a commit that the cache has. */
  async paths(commit: string): Promise<string[]> {
    const root = this.snapshot(commit);
    const entries = await absentAs([], () => readdir(root, { recursive: true, withFileTypes: true }));
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
      .sort();
  }

  /** Lets a path of a commit be the blob; a copy of it where the system has no links. */
  async link(commit: string, path: string, etag: string): Promise<void> {
    const [target, blob] = [join(this.snapshot(commit), path), this.blob(etag)];
    await mkdir(dirname(target), { recursive: true });
    await rm(target, { force: true });
    await symlink(relative(dirname(target), blob), target).catch(() => copyFile(blob, target));
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await absentAs(null, () => stat(path))) !== null;
}
