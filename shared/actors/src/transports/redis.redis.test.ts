import { mailboxKeys, type Redis } from '@forge/broker';
import { startLossyProxy, startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { failure, handlerOf, request } from './conformance-setup.conformance';
import { lostPeerConformance } from './lost-peer.conformance';
import { RedisTransport } from './redis';
import { transportConformance } from './transport.conformance';

let server: TestRedis;
let redis: Redis;
beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
afterAll(() => server.stop());

const make = () => Promise.resolve({ transport: new RedisTransport(redis) });
transportConformance('redis', make);
lostPeerConformance('redis', async () => ({
  ...(await make()),
  peer: { redisUrl: server.url },
  killedWithinMs: 2_000,
  stoppedWithinMs: 2_000,
}));

describe('RedisTransport', () => {
  const echo = handlerOf({ echo: ({ args }) => args[0] });

  it('drops what is sent again after a lost answer', async () => {
    const proxy = await startLossyProxy(server.url);
    const lossy = redis.duplicate({ host: '127.0.0.1', port: Number(new URL(proxy.url).port) });
    const seen: unknown[] = [];
    const listener = await new RedisTransport(redis).listen(
      handlerOf({ note: ({ args }) => seen.push(args[0]) }),
    );
    const channel = await new RedisTransport(lossy).connect(listener.address);
    for (let i = 0; i < 5; i++) {
      const lost = proxy.loseNextAnswer();
      await Promise.all([channel.call(request('note', i)), lost]);
    }
    expect(seen).toEqual([0, 1, 2, 3, 4]);
    await channel.close();
    await listener.close();
    lossy.disconnect();
    await proxy.stop();
  });

  it('leaves nothing behind, and what a dead process leaves expires', async () => {
    const before = new Set(await redis.keys('*'));
    const ours = async (): Promise<string[]> => (await redis.keys('*')).filter((key) => !before.has(key));
    const listener = await new RedisTransport(redis).listen(echo);
    const channel = await new RedisTransport(redis).connect(listener.address);
    await channel.call(request('echo', 1));
    const keys = await ours();
    expect(keys.length).toBeGreaterThan(1);
    for (const key of keys) expect(await redis.pttl(key)).not.toBe(-1);
    await channel.close();
    await listener.close();
    await waitFor('an end without traces', async () => (await ours()).length === 0);
  });

  it('takes out what was read', async () => {
    const listener = await new RedisTransport(redis).listen(echo, 'redis:trim');
    const channel = await new RedisTransport(redis).connect(listener.address);
    for (let i = 0; i < 20; i++) await channel.call(request('echo', i));
    await waitFor('an empty mailbox', async () => (await redis.xlen(mailboxKeys('trim').letters)) === 0);
    await channel.close();
    await listener.close();
  });

  it('refuses a name that is taken, and a token that is another', async () => {
    const listener = await new RedisTransport(redis, { token: 'one' }).listen(echo, 'redis:taken');
    const again = new RedisTransport(redis).listen(echo, 'redis:taken');
    expect(await failure(again)).toMatchObject({ code: 'CONFIG_INVALID', message: /another process/ });
    const stranger = new RedisTransport(redis, { token: 'two' }).connect(listener.address);
    expect(await failure(stranger)).toMatchObject({ code: 'CONTRACT_UNAUTHORIZED' });
    await listener.close();
  });

  it('refuses letters that are none, tells of each, and serves the others', async () => {
    const refused: string[] = [];
    const onRefused = ({ message }: Error): void => void refused.push(message);
    const listener = await new RedisTransport(redis).listen(echo, 'redis:noise', onRefused);
    const channel = await new RedisTransport(redis).connect(listener.address);
    const { letters } = mailboxKeys('noise');
    const letter = { from: 'nobody', channel: 'c', sequence: '0', bytes: 'x' };
    const sequences = ['NaN', '-1', '', '7'].map((sequence) => ({ sequence }));
    const wrong = [...sequences, { from: '' }, { channel: 'a b' }, {}];
    for (const part of wrong)
      await redis.xadd(letters, '*', ...Object.entries({ ...letter, ...part }).flat());
    await redis.xadd(letters, '*', 'x', 'y');
    await waitFor('all of them', () => refused.length === wrong.length + 1);
    expect(refused.filter((message) => message.endsWith('a letter of no channel'))).toHaveLength(2);
    expect(await channel.call(request('echo', 'alive'))).toBe('alive');
    await channel.close();
    await listener.close();
  });

  it('goes on when Redis died and is back', async () => {
    const listener = await new RedisTransport(redis).listen(echo);
    const channel = await new RedisTransport(redis).connect(listener.address);
    for (let i = 0; i < 3; i++) {
      const calls = Array.from({ length: 20 }, (_, k) => channel.call(request('echo', k)));
      await server.kill();
      expect(await Promise.all(calls)).toEqual(Array.from({ length: 20 }, (_, k) => k));
      expect(await channel.call(request('echo', 'back'))).toBe('back');
    }
    await channel.close();
    await listener.close();
  });
});
