import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectRedis } from '@forge/broker';
import { directoryWithModel, ServiceProcesses, smallRecipe } from './service-processes';

jest.setTimeout(180_000);

const hasServer = spawnSync('redis-server', ['--version']).status === 0;
const describeIf = hasServer ? describe : describe.skip;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describeIf('a run that loses Redis (needs redis-server on the PATH)', () => {
  let server: ChildProcess;
  let run: ServiceProcesses | null = null;
  afterEach(() => {
    run?.kill();
    server.kill('SIGKILL');
  });

  it('waits for it and goes on, with nothing lost', async () => {
    const port = await freePort();
    const files = mkdtempSync(join(tmpdir(), 'forge-redis-'));
    const options = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      files,
      '--appendonly',
      'yes',
      '--save',
      '',
    ];
    const startServer = () => spawn('redis-server', options, { stdio: 'ignore' });
    server = startServer();
    const url = `redis://127.0.0.1:${port}`;
    const redis = await connectRedis(url, { name: 'test', giveUpAfterMs: 5_000 });
    const recipe = smallRecipe(await directoryWithModel(), { maxStaleness: 2, steps: 20 });
    run = await ServiceProcesses.start({ url }, redis, 'run', recipe);
    for (const version of [3, 10]) {
      await run.reached(version);
      const gone = new Promise((resolve) => server.once('exit', resolve));
      server.kill('SIGKILL');
      await gone;
      server = startServer();
    }
    await run.finished();
    const ledger = await run.runState.ledger();
    expect(ledger.isBalanced).toBe(true);
    // Twenty steps consume eight candidates each.
    expect(ledger.trained + ledger.discarded['not-selected']!).toBe(160);
    expect(Object.values(await run.stop())).toEqual([0, 0, 0, 0, 0, 0]);
    redis.disconnect();
  });
});
