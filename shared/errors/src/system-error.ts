import type { SystemDetails } from './details';

/** An error of this code base that stands for one of the operating system. */
export interface SystemError {
  code: 'CAPACITY_DISK_FULL' | 'CAPACITY_OPEN_FILES' | 'CONFIG_PATH_UNUSABLE';
  message: string;
  details: SystemDetails;
}

type Reason = Pick<SystemError, 'code'> & { wayOut: string };

const fullDisk: Reason = {
  code: 'CAPACITY_DISK_FULL',
  wayOut: 'free space there, or name a directory on another disk (output.dir, TMPDIR)',
};
const openFiles: Reason = {
  code: 'CAPACITY_OPEN_FILES',
  wayOut: 'raise the limit of open files (ulimit -n), or run less at once',
};
const unusable = (wayOut: string): Reason => ({ code: 'CONFIG_PATH_UNUSABLE', wayOut });
const rights = unusable('give this user the right to it, or name another path');

const REASONS: ReadonlyMap<string, Reason> = new Map([
  ['ENOSPC', fullDisk],
  ['EDQUOT', fullDisk],
  ['EMFILE', openFiles],
  ['ENFILE', openFiles],
  ['EACCES', rights],
  ['EPERM', rights],
  ['EROFS', unusable('the file system is read-only: name a path on another one')],
  ['ENOENT', unusable('make it, or correct the path')],
  ['ENOTDIR', unusable('a part of the path is a file: correct the path')],
  ['EISDIR', unusable('it is a directory and a file is expected: correct the path')],
  ['ELOOP', unusable('its symbolic links lead in a circle: correct them')],
  ['ENAMETOOLONG', unusable('name a shorter path')],
]);

/** Also said of signals, ports and hosts, which have no path. */
const AMBIGUOUS = ['EACCES', 'EPERM', 'ENOENT'];
const NO_PROGRAM = unusable('install it, or correct PATH and the working directory');

/** An error of Node as one about the environment, with a way out; null where it is about something else. */
export function systemErrorOf(error: unknown): SystemError | null {
  if (typeof error !== 'object' || error === null) return null;
  const { code: errno, syscall, path, message } = error as NodeJS.ErrnoException;
  const reason = REASONS.get(errno ?? '');
  if (errno === undefined || reason === undefined) return null;
  if (path === undefined && AMBIGUOUS.includes(errno)) return null;
  const isSpawn = reason.code === 'CONFIG_PATH_UNUSABLE' && syscall?.startsWith('spawn') === true;
  const { code, wayOut } = isSpawn ? NO_PROGRAM : reason;
  return { code, message: `${message}; ${wayOut}`, details: { errno, syscall, path } };
}
