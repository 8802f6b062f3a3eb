import { fork, type ChildProcess } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '@forge/testing';
import { underLock } from './process-lock';

/** Changes of the file system come late, each by another time, so that what was seen before them may be over. */
jest.mock('node:fs/promises', () => {
  const real = jest.requireActual<typeof import('node:fs/promises')>('node:fs/promises');
  let calls = 0;
  const late =
    <A extends unknown[], R>(change: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      await sleep(((calls += 1) * 7) % 5);
      return change(...args);
    };
  return { ...real, rm: late(real.rm), rmdir: late(real.rmdir), rename: late(real.rename) };
});

const HOLDER = join(__dirname, '../dist/lock-holder.fixture.js');
const LONG_AGO = new Date(Date.now() - 60_000);

let dir: string;
let path: string;
let log: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-lock-'));
  [path, log] = [join(dir, 'lock'), join(dir, 'log')];
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(dir, { recursive: true });
});

/** A process that takes the lock `times` times. */
function holder(times: number, heldMs: number): ChildProcess {
  const child = fork(HOLDER, [path, log, String(times), String(heldMs)]);
  children.push(child);
  return child;
}

function deadOwner(name: string, silentSince: Date): void {
  mkdirSync(path);
  writeFileSync(join(path, name), '');
  utimesSync(join(path, name), silentSince, silentSince);
}

const lines = (): string[] => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []);

describe('underLock', () => {
  it('lets one of many processes in at a time, from a dead one on, and leaves nothing', async () => {
    deadOwner('1@elsewhere@gone', LONG_AGO);
    await Promise.all(Array.from({ length: 4 }, () => once(holder(20, 0), 'exit')));
    const found = lines();
    expect(found).toHaveLength(160);
    for (let i = 0; i < found.length; i += 2)
      expect([found[i]!.slice(0, 3), found[i + 1]]).toEqual(['in ', found[i]!.replace('in', 'out')]);
    expect(readdirSync(dir)).toEqual(['log']);
  });

  it('is taken by one alone of those that find its owner dead at the same instant', async () => {
    for (let round = 0; round < 20; round++) {
      deadOwner(`1@elsewhere@${round}`, LONG_AGO);
      let [inside, most] = [0, 0];
      const work = async (): Promise<void> => {
        most = Math.max(most, (inside += 1));
        await sleep(3);
        inside -= 1;
      };
      await Promise.all([1, 2, 3].map(() => underLock(path, { onWait: () => undefined }, work)));
      expect([most, inside, existsSync(path)]).toEqual([1, 0, false]);
    }
  });

  it('says who has it, and goes on soon after that process was killed', async () => {
    const first = holder(1, 60_000);
    await waitFor('the first to come in', () => lines().length === 1, 20_000);
    const waits: string[] = [];
    const second = underLock(path, { onWait: (who) => waits.push(who) }, () => Promise.resolve('done'));
    await waitFor('the second to wait', () => waits.length === 1, 5_000);
    first.kill('SIGKILL');
    expect(await second).toBe('done');
    expect(waits).toEqual([`process ${first.pid}`]);
  });

  it('belongs to an owner elsewhere as long as that one shows itself', async () => {
    deadOwner('1@elsewhere@here', new Date(Date.now() - 5_000));
    const stop = new AbortController();
    const waits: string[] = [];
    const waiting = underLock(path, { signal: stop.signal, onWait: (who) => waits.push(who) }, () =>
      Promise.resolve(),
    );
    await waitFor('the wait', () => waits.length === 1, 5_000);
    expect(waits).toEqual(['process 1 on elsewhere']);
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
    rmSync(path, { recursive: true });
    deadOwner(`999999999@${hostname()}@gone`, new Date(Date.now() - 5_000));
    expect(await underLock(path, { onWait: () => waits.push('again') }, () => Promise.resolve(1))).toBe(1);
    expect(waits).toHaveLength(1);
  });
});
