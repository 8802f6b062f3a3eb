import { startTestRedis, type TestRedis } from '@forge/testing';
import type { Redis } from 'ioredis';
import { runKeys } from '../keys';
import { Registry } from './registry';
import { WeightSources } from './weight-sources';

let server: TestRedis;
let redis: Redis;
beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
afterAll(() => server.stop());

const hash = 'a'.repeat(64);
let runs = 0;

async function started() {
  const runId = `run-${runs++}`;
  const registry = new Registry(redis, runId);
  return {
    runId,
    sources: new WeightSources(redis, runId),
    alive: (name: string) => {
      const [service = '', replica = ''] = name.split('/');
      const vitals = { url: '', pid: 1, isReady: true, answers: null, callsMade: [] };
      return registry.heartbeat({ service, replica, ...vitals });
    },
  };
}

const offered = (blobs: string[] | null, readers = 0) => ({
  address: `tcp://h:${readers}`,
  actor: 'w',
  blobs,
  readers,
});

describe('WeightSources', () => {
  it('finds those that give a blob, the least busy first', async () => {
    const { sources, alive } = await started();
    await sources.offer('trainer/0', offered(null, 2));
    await sources.offer('policy/b', offered([hash], 1));
    await sources.offer('policy/a', offered(['b'.repeat(64)]));
    for (const name of ['trainer/0', 'policy/a', 'policy/b']) await alive(name);
    expect(await sources.holdersOf(hash)).toEqual([
      { name: 'policy/b', address: 'tcp://h:1', actor: 'w' },
      { name: 'trainer/0', address: 'tcp://h:2', actor: 'w' },
    ]);
  });

  it('passes over those that are dead or have left, and not one that is about to be registered', async () => {
    const { sources, alive, runId } = await started();
    const names = ['policy/a', 'policy/b', 'policy/c'];
    for (const name of [...names, 'trainer/0']) await sources.offer(name, offered([hash]));
    await alive('policy/c');
    const { replicas } = runKeys(runId);
    const died = JSON.parse((await redis.hget(replicas('policy'), 'c'))!) as object;
    await redis.hset(replicas('policy'), 'c', JSON.stringify({ ...died, seenAtMs: 0 }));
    for (const name of ['policy/a', 'policy/b']) await alive(name);
    await sources.withdraw('policy/b');
    const found = await sources.holdersOf(hash);
    expect(found.map(({ name }) => name)).toEqual(['policy/a', 'trainer/0']);
  });

  it('reads what a later release has added to', async () => {
    const { sources, alive, runId } = await started();
    const added = { ...offered([hash]), more: true };
    await redis.hset(runKeys(runId).weightSources, 'policy/a', JSON.stringify(added));
    await alive('policy/a');
    expect(await sources.holdersOf(hash)).toHaveLength(1);
  });
});
