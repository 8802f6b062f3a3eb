import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRunning, startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { connectRedis } from './connection';
import { withoutPassword } from './redis-password';
import { provisionRedis } from './redis-server';
import { RunState } from '../run/run-state';

const DIST = join(__dirname, '../../dist');
const dirs: string[] = [];
function newDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'forge-redis-'));
  dirs.push(dir);
  return dir;
}
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

describe('an own Redis that is killed', () => {
  let server: TestRedis;
  const states: RunState[] = [];
  beforeEach(async () => {
    server = await startTestRedis();
  });
  afterEach(async () => {
    for (const state of states.splice(0)) state.close();
    await server.stop();
  });

  it('comes back where it was with ledger and streams, and commands wait for it', async () => {
    const state = new RunState(await server.connect(), 'run', { inFlight: 500, groups: 500 });
    states.push(state);
    await state.create({ some: 'recipe' }, { maxStaleness: Infinity, candidatesPerBatch: 100, steps: 3 });
    const admitted = await state.admit(300);
    const payload = (index: number) => Buffer.alloc(20_000, index);
    const publish = (from: number, to: number) =>
      Promise.all(
        admitted.slice(from, to).map(async ({ index }) => state.publishGroup(index, payload(index))),
      );

    expect(new Set(await publish(0, 100))).toEqual(new Set(['accepted']));
    const [held] = await state.readGroups('buffer', 1, 0);
    const waiting = state.waitForSignal('0', 20_000);
    // Many commands are under way, and a reader waits, when Redis dies.
    const published = publish(100, 200);
    await server.kill();
    const published2 = publish(200, 300);
    await Promise.all([published, published2]);
    expect(await state.storeGroup(held!.entryId, { index: held!.index, version: 0 }, held!.payload)).toBe(
      'stored',
    );
    await state.setPhase('stopping');
    expect(await waiting).toMatch(/^\d+-\d+$/);

    expect(await state.config()).toEqual({ some: 'recipe' });
    expect(await state.pendingGroups()).toEqual([]);
    expect(await state.ledger()).toMatchObject({
      admitted: 300,
      inFlight: 299,
      buffered: 1,
      isBalanced: true,
    });
    const groups = await state.readGroups('buffer', 500, 0);
    expect(groups.map(({ index }) => index).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 300 }, (_, i) => i).filter((i) => i !== held!.index),
    );
    for (const { index, payload: bytes } of groups) expect(bytes.equals(payload(index))).toBe(true);
    expect(server.log).toEqual([
      expect.stringMatching(/^started \S+ on port \d+$/),
      expect.stringMatching(/died \(SIGKILL\); starting it again in 0 ms$/),
      expect.stringMatching(/is back$/),
    ]);
  });

  it('is given up when it dies too often', async () => {
    const frail = await startTestRedis({ restartsPerMinute: 2 });
    for (let death = 0; death < 3; death++) await frail.kill();
    await waitFor('the last word', () => frail.log.at(-1)?.includes('giving it up'));
    expect(frail.log.filter((message) => message.includes('starting it again'))).toHaveLength(2);
    await expect(connectRedis(frail.url, { name: 'test', giveUpAfterMs: 300 })).rejects.toMatchObject({
      code: 'TRANSIENT_REDIS_UNREACHABLE',
    });
    await frail.stop();
  });

  it('stays away once it is stopped', async () => {
    await server.kill();
    await server.stop();
    // Whether it was back by then or not.
    expect(server.log).toContainEqual(expect.stringMatching(/starting it again/));
    await expect(connectRedis(server.url, { name: 'test', giveUpAfterMs: 300 })).rejects.toMatchObject({
      code: 'TRANSIENT_REDIS_UNREACHABLE',
    });
  });
});

describe('provisionRedis', () => {
  it('uses the Redis it is given and leaves it alone', async () => {
    const own = await startTestRedis();
    const log: string[] = [];
    const given = await provisionRedis({
      url: own.url,
      dir: '/nowhere',
      log: (message) => log.push(message),
      mayInstall: false,
    });
    await given.stop();
    expect(await (await own.connect()).ping()).toBe('PONG');
    expect(log).toEqual([`using Redis at redis://127.0.0.1:${new URL(own.url).port}`]);
    await own.stop();
  });

  it('has a password for its Redis that only the user can read', async () => {
    const own = await startTestRedis();
    const { password } = new URL(own.url);
    expect(password).toMatch(/^[0-9a-f]{48}$/);
    const bare = connectRedis(withoutPassword(own.url), { name: 'test', giveUpAfterMs: 5_000 });
    await expect(bare).rejects.toMatchObject({ code: 'CONTRACT_UNAUTHORIZED', message: /NOAUTH/ });
    const pid = await own.pid();
    const args = spawnSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).stdout;
    expect(args).toContain('redis-server 127.0.0.1:');
    expect(args).not.toContain(password);
    const mode = (path: string) => statSync(path).mode & 0o777;
    expect([mode(own.dir), mode(join(own.dir, 'password.conf'))]).toEqual([0o700, 0o600]);
    await own.kill();
    await waitFor('its return', () => own.log.at(-1)?.endsWith('is back'));
    expect(await (await own.connect()).ping()).toBe('PONG');
    expect(own.log.join('\n')).not.toContain(password);
    await own.stop();
  });

  it('ends its Redis when the process is killed', async () => {
    const script = `
      const { connectRedis, provisionRedis } = require(${JSON.stringify(DIST)});
      provisionRedis({ dir: process.argv[1], log: () => {}, mayInstall: false }).then(async ({ url }) => {
        const redis = await connectRedis(url, { name: 'parent', giveUpAfterMs: 5000 });
        process.stdout.write(/process_id:(\\d+)/.exec(await redis.info('server'))[1] + '\\n');
      });`;
    const parent = spawn(process.execPath, ['-e', script, newDir()], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const pid = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)));
    expect(isRunning(pid)).toBe(true);
    parent.kill('SIGKILL');
    await waitFor('the end of Redis', () => !isRunning(pid));
  });

  it('says so when the server can not be started', () => {
    const bin = newDir();
    // Answers to --version and is gone then.
    writeFileSync(join(bin, 'redis-server'), '#!/bin/sh\n/bin/rm "$0"\n', { mode: 0o755 });
    const script = `
      const { provisionRedis } = require(${JSON.stringify(DIST)});
      provisionRedis({ dir: process.argv[1], log: () => {}, mayInstall: false })
        .catch((error) => console.log(error.code, error.message));`;
    const { stdout } = spawnSync(process.execPath, ['-e', script, newDir()], {
      env: { PATH: bin },
      encoding: 'utf8',
    });
    expect(stdout).toMatch(/^TRANSIENT_REDIS_UNREACHABLE redis-server did not start after 5 attempts/);
  });
});
