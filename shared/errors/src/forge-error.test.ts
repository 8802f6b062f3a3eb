import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ForgeError, type WireError } from './forge-error';

const dir = mkdtempSync(join(tmpdir(), 'forge-errors-'));
afterAll(() => rmSync(dir, { recursive: true }));

/** The value that `work` throws. */
function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

/** An error as Node makes it of an answer of the operating system. */
function systemError(errno: string, fields: { path?: string; syscall?: string } = {}): Error {
  return Object.assign(new Error(`${errno}: refused`), { code: errno, errno: -1, ...fields });
}

describe('ForgeError', () => {
  it('survives the wire with code, message and details', () => {
    const error = new ForgeError(
      'SHAPE_MISMATCH',
      'a: [2], b: [3]',
      { a: [2] },
      { cause: new Error('inner') },
    );
    const copy = ForgeError.fromWire(JSON.parse(JSON.stringify(error.toWire())) as WireError);
    expect(copy).toBeInstanceOf(ForgeError);
    expect([copy.code, copy.message, copy.details]).toEqual(['SHAPE_MISMATCH', 'a: [2], b: [3]', { a: [2] }]);
  });

  it.each(['NEW_CODE', 'constructor', 'toString', '__proto__', 'hasOwnProperty'])(
    'takes a code that is not ours, %s, for a bug and keeps it',
    (code) => {
      const error = ForgeError.fromWire({ code, message: 'm', details: { a: 1 } } as unknown as WireError);
      expect([error.code, error.retryClass, error.details]).toEqual([
        'BUG_INVARIANT',
        'bug',
        { a: 1, unknownCode: code },
      ]);
    },
  );

  it('is retryable exactly when its class is transient', () => {
    expect(new ForgeError('TRANSIENT_TIMEOUT', '').retryable).toBe(true);
    expect(new ForgeError('CONFIG_INVALID', '').retryable).toBe(false);
    expect(new ForgeError('STALE_EPOCH', '').retryable).toBe(false);
  });

  it('types its details by its code', () => {
    const error: ForgeError = new ForgeError('CAPACITY_QUEUE_FULL', 'full', { maxQueued: 4 });
    // @ts-expect-error maxQueued is a number
    new ForgeError('CAPACITY_QUEUE_FULL', 'full', { maxQueued: 'four' });
    // @ts-expect-error it has no such detail
    new ForgeError('CAPACITY_QUEUE_FULL', 'full', { most: 4 });
    // @ts-expect-error a function is no JSON
    new ForgeError('SHAPE_MISMATCH', 'no', { f: () => 1 });
    // @ts-expect-error an error of any code need not have it
    expect(error.details.maxQueued).toBe(4);
    const maxQueued: number | undefined = error.is('CAPACITY_QUEUE_FULL') ? error.details.maxQueued : -1;
    expect([maxQueued, error.is('CANCELLED')]).toEqual([4, false]);
  });
});

describe('ForgeError.from', () => {
  it('wraps a foreign error as a bug with its cause, and returns one of ours as it is', () => {
    const foreign = new TypeError('x is undefined');
    expect(ForgeError.from(foreign)).toMatchObject({
      code: 'BUG_INVARIANT',
      message: 'x is undefined',
      cause: foreign,
    });
    const own = new ForgeError('CANCELLED', '');
    expect(ForgeError.from(own)).toBe(own);
  });

  it.each([
    ['ENOSPC', 'CAPACITY_DISK_FULL', 'fatal', /free space there/],
    ['EDQUOT', 'CAPACITY_DISK_FULL', 'fatal', /output\.dir, TMPDIR/],
    ['EMFILE', 'CAPACITY_OPEN_FILES', 'transient', /ulimit -n/],
    ['ENFILE', 'CAPACITY_OPEN_FILES', 'transient', /ulimit -n/],
    ['EACCES', 'CONFIG_PATH_UNUSABLE', 'fatal', /the right to it/],
    ['EPERM', 'CONFIG_PATH_UNUSABLE', 'fatal', /the right to it/],
    ['EROFS', 'CONFIG_PATH_UNUSABLE', 'fatal', /read-only/],
    ['ELOOP', 'CONFIG_PATH_UNUSABLE', 'fatal', /circle/],
  ])('takes %s for %s, which is %s', (errno, code, retryClass, wayOut) => {
    const refused = systemError(errno, { path: '/disk/run', syscall: 'open' });
    const error = ForgeError.from(refused);
    expect(error).toMatchObject({
      code,
      retryClass,
      cause: refused,
      details: { errno, path: '/disk/run', syscall: 'open' },
    });
    expect(error.message).toMatch(wayOut);
  });

  it.each<[string, () => unknown, RegExp]>([
    [
      'a file in a directory that is missing',
      () => writeFileSync(join(dir, 'no/file'), ''),
      /^ENOENT.*no\/file.*; make it/,
    ],
    [
      'a directory below a file',
      () => mkdirSync('/etc/hostname/below'),
      /^ENOTDIR.*; a part of the path is a file/,
    ],
    ['a directory as a file', () => readFileSync(dir), /^EISDIR.*; it is a directory/],
    [
      'a name that is too long',
      () => writeFileSync(join(dir, 'n'.repeat(300)), ''),
      /^ENAMETOOLONG.*shorter/,
    ],
    [
      'a program that is not there',
      () => {
        throw spawnSync('no-such-program').error!;
      },
      /^spawnSync no-such-program ENOENT; install it/,
    ],
  ])('names the way out of %s', (_, work, message) => {
    const error = ForgeError.from(thrownBy(work));
    expect([error.code, error.message]).toEqual(['CONFIG_PATH_UNUSABLE', expect.stringMatching(message)]);
  });

  it.each([
    systemError('EPERM', { syscall: 'kill' }),
    systemError('ENOENT'),
    systemError('toString', { path: '/' }),
  ])('takes %s, which is about no file, for a bug', (error) => {
    expect(ForgeError.from(error).code).toBe('BUG_INVARIANT');
  });
});
