import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyLedger } from '@forge/broker';
import { loadModel } from '@forge/model';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { parametersHash } from '@forge/weights';
import { ForgeRun } from './chaos/forge-run';
import {
  createModelDirectory,
  ServiceProcesses,
  smallRecipe,
  TINY,
  type ReplicaName,
} from './service-processes';

jest.setTimeout(240_000);

const forge = join(__dirname, '..', 'services/cli/bin/forge.cjs');
const STEPS = 12;
/** Held to the reference, which is the base without the adapter. */
const ADAPTED = {
  maxStaleness: 0,
  steps: STEPS,
  adapter: { rank: 4 },
  trainer: { learningRate: 0.03, warmupSteps: 0, checkpointEverySteps: 2 },
};

let redis: TestRedis;
let dir: string;
let undisturbed: ForgeRun;
const started: { kill: () => void }[] = [];
beforeAll(async () => {
  redis = await startTestRedis();
  dir = mkdtempSync(join(tmpdir(), 'forge-adapter-'));
  await createModelDirectory(dir, { ...TINY, hidden_size: 64, intermediate_size: 192 });
  undisturbed = await start({ output: { sampleRollouts: 1, record: true } });
  expect(await undisturbed.ended(120_000)).toBe(0);
});
afterAll(async () => {
  for (const run of started) run.kill();
  await redis.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function start(overrides: Record<string, unknown> = {}): Promise<ForgeRun> {
  const run = await ForgeRun.start(dir, smallRecipe(dir, { ...ADAPTED, ...overrides }), {});
  started.push(run);
  return run;
}

async function command(run: ForgeRun, ...args: string[]): Promise<{ code: number | null; said: string }> {
  const child = spawn(process.execPath, [forge, ...args], {
    cwd: run.workDir,
    env: { ...process.env, REDIS_URL: '' },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said };
}

type Row = Record<string, number>;
const rowsOf = (runDir: string): Row[] =>
  readFileSync(join(runDir, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
const hashOf = (runDir: string): string =>
  (JSON.parse(readFileSync(join(runDir, 'summary.json'), 'utf8')) as { weightsHash: string }).weightsHash;

describe('a run with an adapter', () => {
  it('learns, publishes a small part of the model, and generates with what it trains', () => {
    const rows = rowsOf(undisturbed.runDir);
    expect(rows.map(({ step }) => step)).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
    for (const row of rows) expect(row['logprob_mismatch']).toBeLessThanOrEqual(1e-4);
    const reward = (from: number, to: number): number =>
      rows.slice(from, to).reduce((sum, row) => sum + row['reward/mean']!, 0) / (to - from);
    expect(reward(8, 12)).toBeGreaterThan(reward(0, 4));
    const weights = join(undisturbed.runDir, 'weights');
    const [blob] = readdirSync(weights).filter((name) => /^[0-9a-f]{64}\.safetensors$/.test(name));
    const base = statSync(join(dir, 'model', 'model.safetensors')).size;
    expect(statSync(join(weights, blob!)).size).toBeLessThan(base / 3);
  });

  it('comes to the same bits with three policies and kills on the way', async () => {
    const recipe = smallRecipe(dir, { ...ADAPTED, policy: { replicas: 3 } });
    const run = await ServiceProcesses.start(redis, await redis.connect(), 'killed', recipe);
    started.push(run);
    const victims: ReplicaName[][] = [
      ['policy'],
      ['trainer', 'policy/1'],
      ['policy/2', 'reference'],
      ['policy', 'trainer'],
    ];
    for (const [version, together] of victims.entries()) {
      await run.reached(version + 1);
      await Promise.all(together.map((victim) => run.killAndRestart(victim)));
      expect(verifyLedger(await run.runState.ledgerSnapshot())).toEqual([]);
    }
    await run.finished();
    await run.stop();
    expect(hashOf(run.runDir)).toBe(hashOf(undisturbed.runDir));
  });

  it('goes on from a checkpoint of the adapter when the state is gone, to the same bits', async () => {
    const run = await start();
    await waitFor('version 5', async () => (await run.runState.version()) >= 5, 60_000);
    const kinds = [
      'coordinator',
      'trainer',
      'policy',
      'reward',
      'reference',
      'replay-buffer',
      'redis',
    ] as const;
    const pids = (await Promise.all(kinds.map((kind) => run.parts(kind)))).flat().map(({ pid }) => pid);
    run.kill();
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    rmSync(join(run.workDir, '.forge'), { recursive: true });
    const { code, said } = await command(run, 'resume', run.runId);
    expect([code, said]).toEqual([0, expect.stringMatching(/going on from the checkpoint of step \d+/)]);
    expect(hashOf(run.runDir)).toBe(hashOf(undisturbed.runDir));
  });

  it('is replayed from its record, and not beside another base', async () => {
    const { runId } = undisturbed;
    expect(await command(undisturbed, 'replay', runId)).toMatchObject({
      code: 0,
      said: expect.stringContaining(`${STEPS} steps replayed, all as recorded`) as string,
    });
    const other = join(dir, 'other');
    await createModelDirectory(other, { ...TINY, hidden_size: 64, intermediate_size: 192 }, 2);
    expect(await command(undisturbed, 'replay', runId, '--model', join(other, 'model'))).toMatchObject({
      code: 2,
      said: expect.stringContaining('from which the run started') as string,
    });
  });

  it('is merged into a model of its own', async () => {
    const out = join(dir, 'merged');
    expect(await command(undisturbed, 'merge', undisturbed.runId, out)).toMatchObject({ code: 0 });
    const [merged, adapted] = [await loadModel(out), await loadModel(join(undisturbed.runDir, 'model'))];
    expect(parametersHash(merged.parameters)).toBe(parametersHash(adapted.parameters));
    expect(parametersHash(merged.parameters)).not.toBe(
      parametersHash((await loadModel(join(dir, 'model'))).parameters),
    );
    expect(await command(undisturbed, 'merge', undisturbed.runId, out)).toMatchObject({
      code: 2,
      said: expect.stringContaining('is there already') as string,
    });
    expect(await command(undisturbed, 'merge', 'nothing', join(dir, 'none'))).toMatchObject({ code: 2 });
  });
});
