import { existsSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { verifyLedger } from '@forge/broker';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { directoryWithModel, ServiceProcesses, smallRecipe } from './service-processes';

jest.setTimeout(180_000);

let redis: TestRedis;
let dir: string;
beforeAll(async () => {
  [redis, dir] = await Promise.all([startTestRedis(), directoryWithModel()]);
});
afterAll(() => redis.stop());

const started: ServiceProcesses[] = [];
afterEach(() => {
  for (const run of started) run.kill();
});

async function startRun(): Promise<ServiceProcesses> {
  const trainer = { learningRate: 0.01, warmupSteps: 0, checkpointEverySteps: 1 };
  const recipe = smallRecipe(dir, { maxStaleness: 0, steps: 8, trainer });
  const run = await ServiceProcesses.start(redis, await redis.connect(), `run-${started.length}`, recipe);
  started.push(run);
  return run;
}

const hashOf = ({ runDir }: ServiceProcesses): string =>
  (JSON.parse(readFileSync(join(runDir, 'summary.json'), 'utf8')) as { weightsHash: string }).weightsHash;
const checkpointOf = ({ runDir }: ServiceProcesses, step: number): string =>
  join(runDir, 'checkpoints', `step-${step}`);

/** Holds the run between two steps, kills the trainer, and cuts the moments it had committed; the version. */
async function killAndSpoil(run: ServiceProcesses): Promise<number> {
  await run.reached(2);
  await run.killOne('policy');
  const version = await waitFor(
    'a run that has nothing to train',
    async () => {
      const { run: state, leases, streamed, buffer } = await run.runState.ledgerSnapshot();
      const isIdle = leases.length === 0 && streamed.length === 0 && buffer.size < 8;
      return isIdle && existsSync(checkpointOf(run, state.version)) && state.version;
    },
    30_000,
  );
  await run.killOne('trainer');
  const { announcement } = (await run.runState.weights.latest())!;
  expect(announcement.version).toBe(version);
  truncateSync(
    join(dirname(announcement.path), `v${version}-e${announcement.epoch}.optimizer.safetensors`),
    100,
  );
  return version;
}

describe('a trainer that finds the moments it died with cut', () => {
  it('goes on from the checkpoint of the same step, to the same bits', async () => {
    const undisturbed = await startRun();
    await undisturbed.finished();
    await undisturbed.stop();

    const run = await startRun();
    await killAndSpoil(run);
    for (const service of ['trainer', 'policy'] as const) run.launch(service);
    await run.finished();
    expect(verifyLedger(await run.runState.ledgerSnapshot())).toEqual([]);
    await run.stop();
    expect(hashOf(run)).toBe(hashOf(undisturbed));
  });

  it('fails the run with the way back when the checkpoint is older', async () => {
    const run = await startRun();
    const version = await killAndSpoil(run);
    rmSync(checkpointOf(run, version), { recursive: true });
    run.launch('trainer');
    const message = await waitFor(
      'the run to fail',
      async () => {
        const { phase, message: said } = await run.runState.phase();
        return phase === 'failed' && said;
      },
      30_000,
    );
    expect(message).toMatch(
      new RegExp(
        `step ${version} of run run-2 is committed, but can't be read \\(.*optimizer\\.safetensors: found 100 bytes.*forge resume run-2 --from ${version - 1} goes back`,
      ),
    );
  });
});
