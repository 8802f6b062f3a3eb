import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { directoryWithModel, ServiceProcesses, smallRecipe, type ReplicaName } from './service-processes';

jest.setTimeout(120_000);

const STEPS = 8;

let redis: TestRedis;
let dir: string;
let run: ServiceProcesses | null = null;
beforeAll(async () => {
  [redis, dir] = await Promise.all([startTestRedis(), directoryWithModel()]);
});
afterAll(async () => {
  run?.kill();
  await redis.stop();
});

/** `forge replay run`, with no Redis to be found. */
async function replay(...options: string[]): Promise<{ code: number | null; said: string }> {
  const forge = join(__dirname, '../services/cli/bin/forge.cjs');
  const args = [forge, 'replay', 'run', '--dir', join(dir, 'runs'), ...options];
  const child = spawn(process.execPath, args, {
    cwd: join(__dirname, '..'),
    env: { ...process.env, REDIS_URL: 'redis://127.0.0.1:1' },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said };
}

describe('forge replay', () => {
  it('comes to the weights of an asynchronous run with kills, and refuses a tampered record', async () => {
    const recipe = smallRecipe(dir, {
      maxStaleness: 2,
      steps: STEPS,
      policy: { replicas: 2 },
      output: { dir: join(dir, 'runs'), record: true },
    });
    run = await ServiceProcesses.start(redis, await redis.connect(), 'run', recipe);
    const victims: ReplicaName[][] = [
      ['trainer', 'policy'],
      ['replay-buffer', 'policy/1'],
      ['trainer', 'coordinator'],
    ];
    for (const [version, together] of victims.entries()) {
      await run.reached(2 * version + 1);
      await Promise.all(together.map((victim) => run!.killAndRestart(victim)));
    }
    expect(await replay('--to', '4')).toMatchObject({
      code: 0,
      said: expect.stringContaining('4 steps replayed, all as recorded') as string,
    });
    await run.finished();
    await run.stop();

    const summary = JSON.parse(readFileSync(join(run.runDir, 'summary.json'), 'utf8')) as object;
    const { weightsHash } = summary as { weightsHash: string };
    const { code, said } = await replay('--json');
    expect({ code, ...(JSON.parse(said) as object) }).toEqual({
      code: 0,
      run: 'run',
      steps: STEPS,
      weightsHash,
      recorded: weightsHash,
      isEqual: true,
    });
    const lags = readFileSync(join(run.runDir, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as Record<string, number>)['lag/max']);
    expect(Math.max(...(lags as number[]))).toBeGreaterThan(0);

    const record = join(run.runDir, 'record');
    const name = readdirSync(record).find((file) => file.startsWith('step-5.'))!;
    const step = join(record, name);
    const whole = readFileSync(step);
    const flipped = Buffer.from(whole);
    flipped[whole.length >> 1]! ^= 1;
    writeFileSync(step, flipped);
    expect(await replay()).toMatchObject({
      code: 2,
      said: expect.stringContaining(`${name}: its sha256 is`) as string,
    });
  });
});
