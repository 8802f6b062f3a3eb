import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { isAlive, processMark } from './is-alive';

describe('isAlive', () => {
  it('knows a process from a later one with the same id', () => {
    const mark = processMark(process.pid);
    expect(isAlive(process.pid, mark)).toBe(true);
    expect(isAlive(process.pid, processMark(process.ppid))).toBe(false);
    expect(isAlive(process.pid, null)).toBe(true);
  });

  it('reads the start behind a name with blanks and brackets', async () => {
    const child = spawn('bash', ['-c', 'printf ") 1 2 3" > /proc/self/comm; echo; read'], { stdio: 'pipe' });
    await once(child.stdout, 'data');
    const mark = processMark(child.pid!);
    const own = processMark(process.pid)!.split('/');
    expect(mark).toMatch(new RegExp(`^${own[0]}/\\d+$`));
    expect(Number(mark!.split('/')[1])).toBeGreaterThan(Number(own[1]));
    const ended = once(child, 'exit');
    child.stdin.end();
    await ended;
    expect([isAlive(child.pid!, mark), isAlive(child.pid!, null), processMark(child.pid!)]).toEqual([
      false,
      false,
      null,
    ]);
  });
});
