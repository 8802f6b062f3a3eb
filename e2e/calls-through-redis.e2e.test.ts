import { readdirSync } from 'node:fs';
import { Registry, verifyLedger } from '@forge/broker';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { directoryWithModel, ServiceProcesses, smallRecipe } from './service-processes';

jest.setTimeout(180_000);

let redis: TestRedis;
let dir: string;
let run: ServiceProcesses | undefined;
beforeAll(async () => {
  [redis, dir] = await Promise.all([startTestRedis(), directoryWithModel()]);
});
afterAll(async () => {
  run?.kill();
  await redis.stop();
});

describe('a run whose services reach nothing but Redis', () => {
  it('scores rollouts through Redis, also after a reward has died', async () => {
    const connection = await redis.connect();
    const recipe = smallRecipe(dir, {
      steps: 3,
      evaluation: { everySteps: 3, samples: 16, reward: 'exact' },
    });
    run = await ServiceProcesses.start(redis, connection, 'through-redis', recipe, { calls: 'redis' });
    const registry = new Registry(connection, 'through-redis');
    await run.reached(1);
    await run.killAndRestart('reward');
    await run.finished();

    const called = ['reward', 'reference'];
    for (const service of called) {
      const [replica] = await registry.list(service);
      expect(replica?.answers?.address).toMatch(/^redis:/);
    }
    expect(readdirSync(run.sockets)).toEqual([]);
    await waitFor('calls of both', async () => {
      const [policy] = await registry.list('policy');
      const made = policy?.callsMade.filter(({ requests, failed }) => requests > failed) ?? [];
      return called.every((service) => made.some((calls) => calls.service === service));
    });
    expect(verifyLedger(await run.runState.ledgerSnapshot())).toEqual([]);
    await run.stop();
    const owners = (): Promise<string[]> => connection.keys('forge:mailbox:*:owner');
    await waitFor('an end without owners', async () => (await owners()).length === 0);
    for (const left of await connection.keys('forge:mailbox:*'))
      expect(await connection.pttl(left)).toBeGreaterThan(0);
  });
});
