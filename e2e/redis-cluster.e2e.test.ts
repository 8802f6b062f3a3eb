import { removeRun, verifyLedger } from '@forge/broker';
import { startTestCluster, type TestCluster } from '@forge/testing';
import { directoryWithModel, ServiceProcesses, smallRecipe } from './service-processes';

jest.setTimeout(240_000);

let cluster: TestCluster;
let dir: string;
const started: ServiceProcesses[] = [];
beforeAll(async () => {
  [cluster, dir] = await Promise.all([startTestCluster(), directoryWithModel()]);
});
afterAll(async () => {
  for (const run of started) run.kill();
  await cluster.stop();
});

async function startRun(runId: string, steps: number, calls: 'unix' | 'redis'): Promise<ServiceProcesses> {
  const recipe = smallRecipe(dir, { steps });
  const run = await ServiceProcesses.start(cluster, await cluster.connect(), runId, recipe, { calls });
  started.push(run);
  return run;
}

describe('a run on a Redis Cluster of three', () => {
  it('finishes, also with calls through mailboxes, whose keys lie on other servers', async () => {
    const run = await startRun('clustered', 4, 'redis');
    await run.finished();
    const snapshot = await run.runState.ledgerSnapshot();
    expect(verifyLedger(snapshot)).toEqual([]);
    expect(snapshot.run.version).toBe(4);
    await run.stop();
    const redis = await cluster.connect();
    await removeRun(redis, 'clustered');
    expect(await redis.exists('forge:{clustered}:run')).toBe(0);
  });

  it('goes on when the server that has it dies and its replica takes its place', async () => {
    const key = 'forge:{failing-over}:run';
    await cluster.replicate(key);
    const run = await startRun('failing-over', 12, 'unix');
    await run.reached(2);
    await cluster.killOwner(key);
    await run.finished();
    expect(verifyLedger(await run.runState.ledgerSnapshot())).toEqual([]);
    await run.stop();
  });
});
