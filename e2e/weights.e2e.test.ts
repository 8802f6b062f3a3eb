import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
  for (const run of started.splice(0)) run.kill();
});
async function startRun(runId: string, overrides: Record<string, unknown>): Promise<ServiceProcesses> {
  const run = await ServiceProcesses.start(redis, await redis.connect(), runId, smallRecipe(dir, overrides));
  started.push(run);
  return run;
}

/** Number of reports of policies about weights that they could not read. */
async function refusals({ runState }: ServiceProcesses): Promise<number> {
  let refused = 0;
  let seen = '0';
  for (;;) {
    const entries = await runState.readTelemetry(seen, 0);
    if (entries.length === 0) return refused;
    for (const { id, event } of entries) {
      seen = id;
      if (event?.kind === 'service') refused += event.values['weightsRefused'] ?? 0;
    }
  }
}

describe('weights of a run', () => {
  it('are published again when a blob is damaged on disk, and old ones are collected', async () => {
    const run = await startRun('damaged', {
      maxStaleness: 0,
      steps: 8,
      trainer: { learningRate: 0.01, warmupSteps: 0, keepSeconds: 0 },
    });
    await run.reached(2);
    // A stopped policy asks for nothing: the damage is done before the next reader comes.
    await run.end('policy', 'SIGKILL');
    const { announcement } = (await run.runState.weights.latest())!;
    const bytes = readFileSync(announcement.path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(announcement.path, bytes);
    run.launch('policy');
    await waitFor('a repaired blob', () => readFileSync(announcement.path).at(-1) !== bytes.at(-1), 60_000);
    await waitFor('the report of it', async () => (await refusals(run)) >= 1, 10_000);
    await run.finished();
    expect(verifyLedger(await run.runState.ledgerSnapshot())).toEqual([]);
    await run.stop();
    const files = readdirSync(join(run.runDir, 'weights'));
    expect(files.filter((name) => name.endsWith('.json')).sort()).toEqual(
      [5, 6, 7, 8].map((version) => `v${version}-e1.json`),
    );
    expect(files.filter((name) => name.endsWith('.optimizer.safetensors'))).toHaveLength(4);
    expect(files).toHaveLength(16);
  });
});
