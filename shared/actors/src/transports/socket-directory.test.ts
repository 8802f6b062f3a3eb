import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { makeSocketDirectory } from './socket-directory';

const home = mkdtempSync(join(tmpdir(), 'forge-tmpdir-'));
/** As batch systems name the directories of their jobs. */
const deep = join(home, 'job-7301'.repeat(9), 'node-12');
mkdirSync(deep, { recursive: true });
afterAll(() => rmSync(home, { recursive: true }));

describe('makeSocketDirectory', () => {
  it('is below TMPDIR, for its user only', async () => {
    const dir = await makeSocketDirectory('forge-run-', home);
    expect([dirname(dir), statSync(dir).mode & 0o777]).toEqual([home, 0o700]);
  });

  it('is below /tmp where TMPDIR is too long, with the same rights', async () => {
    const dir = await makeSocketDirectory('forge-run-', deep);
    expect([dirname(dir), statSync(dir).mode & 0o777]).toEqual(['/tmp', 0o700]);
    rmSync(dir, { recursive: true });
  });

  it.each([join(home, 'gone'), '/proc'])(
    'names TMPDIR=%s and the way out where it is of no use',
    async (dir) => {
      await expect(makeSocketDirectory('forge-', dir)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(
          `^environment variable TMPDIR: found ${dir}, .*; set TMPDIR to a directory that exists`,
        ) as string,
      });
    },
  );
});

/** Output of a process under that TMPDIR that runs `script` with the modules of this package. */
async function printedUnder(tmp: string, script: string): Promise<string> {
  const dist = JSON.stringify(join(__dirname, '../../dist'));
  const program = `const dist = ${dist}; (async () => { ${script} })().catch((e) => console.log(e.code, e.message));`;
  const env = { ...process.env, TMPDIR: tmp };
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', program], { env, timeout: 30_000 });
  return stdout.trim();
}

describe('a TMPDIR longer than the path of a socket', () => {
  it('lets a transport listen at an address of its own, and leaves nothing behind', async () => {
    const script = `
      const { SocketTransport } = require(dist + '/transports/socket.js');
      const transport = new SocketTransport();
      const listener = await transport.listen({ call: async () => 'heard', stream: () => [] });
      const channel = await transport.connect(listener.address);
      console.log(await channel.call({ actor: 'a', endpoint: 'e', args: [], key: 'k' }));
      await channel.close();
      await listener.close();
      const dir = require('node:path').dirname(listener.address.slice('unix:'.length));
      console.log(require('node:fs').existsSync(dir));`;
    expect(await printedUnder(deep, script)).toBe('heard\nfalse');
  });

  it('lets an actor process start, and end', async () => {
    const script = `
      const { forkActorProcess } = require(dist + '/process/forked-process.js');
      const child = await forkActorProcess(null, () => console.log('ended'));
      console.log(child.pid > 0);
      await child.stop(1000);`;
    expect(await printedUnder(deep, script)).toBe('true\nended');
  });
});
