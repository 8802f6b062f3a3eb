import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { missingWebGpu, startTestRedis, type TestRedis } from '@forge/testing';
import { directoryWithModel, ServiceProcesses, smallRecipe } from './service-processes';

jest.setTimeout(300_000);

const missing = missingWebGpu();
if (missing !== null) process.stderr.write(`skipped: ${missing}\n`);

(missing === null ? describe : describe.skip)('a pipeline whose models compute on WebGPU', () => {
  let redis: TestRedis;
  let dir: string;
  beforeAll(async () => {
    [redis, dir] = await Promise.all([startTestRedis(), directoryWithModel()]);
  });
  afterAll(() => redis.stop());

  /** Metrics of each step of a synchronous run. */
  async function stepsOn(device: string): Promise<Record<string, number>[]> {
    const recipe = smallRecipe(dir, {
      steps: 3,
      maxStaleness: 0,
      policy: { device },
      trainer: { device, learningRate: 0.01, warmupSteps: 0 },
      reference: { device },
    });
    const run = await ServiceProcesses.start(redis, await redis.connect(), `on-${device}`, recipe);
    try {
      await run.finished();
      await run.stop();
    } finally {
      run.kill();
    }
    const lines = readFileSync(join(run.runDir, 'metrics.jsonl'), 'utf8').trim().split('\n');
    return lines.map((line) => JSON.parse(line) as Record<string, number>);
  }

  it('trains to the losses of the CPU', async () => {
    const onCpu = await stepsOn('cpu');
    const onGpu = await stepsOn('webgpu');
    expect(onGpu).toHaveLength(3);
    for (const [i, row] of onGpu.entries()) {
      expect(row['logprob_mismatch']).toBeLessThan(1e-4);
      for (const name of ['loss', 'gradient_norm', 'reward/mean']) {
        expect(onCpu[i]![name]).toEqual(expect.any(Number));
        expect(Math.abs(row[name]! - onCpu[i]![name]!)).toBeLessThan(1e-4);
      }
    }
  });
});
