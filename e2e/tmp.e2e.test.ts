import { join } from 'node:path';
import { loadModel } from '@forge/model';
import { startTestRedis } from '@forge/testing';
import { parametersHash } from '@forge/weights';
import { directoryWithModel, ServiceProcesses, smallRecipe, type ServiceName } from './service-processes';
jest.setTimeout(400_000);
it('x', async () => {
  const redis = await startTestRedis();
  const dir = await directoryWithModel();
  const out: unknown[] = [];
  for (const victim of [null, null, 'trainer', 'policy', 'replay-buffer', 'coordinator'] as (ServiceName | null)[]) {
    const run = await ServiceProcesses.start(redis, await redis.connect(), `r${out.length}`, smallRecipe(dir, { maxStaleness: 0 }));
    if (victim) { await run.reached(2); await run.killAndRestart(victim); }
    await run.finished();
    const ledger = await run.runState.ledger();
    const { announcement } = (await run.runState.latestWeights())!;
    await run.stop();
    out.push([victim, announcement.sha256.slice(0, 8), parametersHash((await loadModel(join(run.runDir, 'model'))).parameters).slice(0, 8), JSON.stringify(ledger)]);
  }
  console.log(JSON.stringify(out, null, 1));
  await redis.stop();
});
