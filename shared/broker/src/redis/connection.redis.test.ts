import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { connectRedis } from './connection';

let server: TestRedis;
beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.stop());

describe('connectRedis', () => {
  it('says what it waits for and gives up in time, without showing the password', async () => {
    const messages: string[] = [];
    const url = 'redis://user:secret@127.0.0.1:1';
    const connecting = connectRedis(url, {
      name: 'test',
      giveUpAfterMs: 1_500,
      onWait: (m) => messages.push(m),
    });
    await expect(connecting).rejects.toMatchObject({
      code: 'TRANSIENT_REDIS_UNREACHABLE',
      details: { url: 'redis://127.0.0.1:1' },
    });
    await expect(connecting).rejects.not.toThrow(/secret/);
    expect(messages).toEqual([
      expect.stringMatching(
        /^waiting for Redis at redis:\/\/127\.0\.0\.1:1 \(.*ECONNREFUSED.*\), 1 s of 2 s$/,
      ),
    ]);
  });

  it('goes on as soon as Redis answers', async () => {
    const pid = await server.pid();
    const messages: string[] = [];
    process.kill(pid, 'SIGSTOP');
    try {
      const connecting = connectRedis(server.url, {
        name: 'test',
        giveUpAfterMs: 20_000,
        onWait: (m) => messages.push(m),
      });
      await waitFor('a message', () => messages.length > 0);
      process.kill(pid, 'SIGCONT');
      const redis = await connecting;
      expect(await redis.ping()).toBe('PONG');
      redis.disconnect();
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });

  it('refuses a database that Redis does not have, and takes one that it has', async () => {
    const to = (database: number) =>
      connectRedis(`${server.url}/${database}`, { name: 'test', giveUpAfterMs: 5_000 });
    await expect(to(99)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/does not open database 99: ERR .*out of range/) as string,
    });
    const redis = await to(3);
    expect(await redis.client('INFO')).toMatch(/ db=3 /);
    redis.disconnect();
  });

  it('refuses a Redis that may evict keys', async () => {
    const redis = await server.connect();
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const connecting = connectRedis(server.url, { name: 'test', giveUpAfterMs: 5_000 });
    await expect(connecting).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: { policy: 'allkeys-lru' },
    });
    await redis.config('SET', 'maxmemory-policy', 'noeviction');
    (await connectRedis(server.url, { name: 'test', giveUpAfterMs: 5_000 })).disconnect();
  });
});
