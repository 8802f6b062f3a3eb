import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { createModelDirectory, ServiceProcesses, smallRecipe } from '../e2e/service-processes';

const STEPS = 30;
/** Steps left out at the start: processes come up, the pipeline fills. */
const WARM_UP = 6;

/** 3.2 M parameters: large enough that a step is computation, not messages. */
const SHAPE = {
  hidden_size: 256,
  intermediate_size: 704,
  num_hidden_layers: 4,
  num_attention_heads: 8,
  num_key_value_heads: 8,
};

/** Generator and trainer have one thread each, and a batch takes both about equally long. */
const RECIPE = {
  steps: STEPS,
  task: { kind: 'arithmetic', heldOut: 0 },
  algorithm: { name: 'grpo', groupSize: 8 },
  batch: { groups: 12, oversample: 2 },
  sampling: { temperature: 1, maxTokens: 32 },
  rewards: [{ name: 'length', targetTokens: 16 }],
  trainer: { learningRate: 1e-6, threads: 1, checkpointEverySteps: 1000 },
  policy: { threads: 1, maxBatch: 96, jobConcurrency: 12, chunk: 16, weights: 'inputs' },
  evaluation: { everySteps: 0 },
};

type Row = Record<string, number>;
const mean = (rows: readonly Row[], key: string): number =>
  rows.reduce((sum, row) => sum + (row[key] ?? 0), 0) / rows.length;

/** Metrics of the steps behind the warm-up of a run of separate processes. */
async function rowsAt(maxStaleness: number, dir: string, redis: TestRedis): Promise<Row[]> {
  const recipe = smallRecipe(dir, { ...RECIPE, maxStaleness });
  const run = await ServiceProcesses.start(redis, await redis.connect(), `staleness-${maxStaleness}`, recipe);
  try {
    await run.finished();
    await run.stop();
  } finally {
    run.kill();
  }
  const lines = readFileSync(join(run.runDir, 'metrics.jsonl'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Row).slice(WARM_UP);
}

/**
 * Steps per minute at maxStaleness 4 over those at 0, against the bound (g + t) / max(g, t): g is the time that a batch
 * takes to generate, t to train on, both as measured in the synchronous run, where neither disturbs the other. The
 * target is 90 % of the bound.
 */
export async function run(): Promise<void> {
  const [redis, dir] = [await startTestRedis(), mkdtempSync(join(tmpdir(), 'forge-bench-'))];
  try {
    await createModelDirectory(dir, SHAPE);
    const synchronous = await rowsAt(0, dir, redis);
    const asynchronous = await rowsAt(4, dir, redis);
    const [syncMs, asyncMs] = [synchronous, asynchronous].map((rows) => mean(rows, 'time/step_ms'));
    const g = mean(synchronous, 'busy/policy') * syncMs!;
    const t = mean(synchronous, 'time/train_ms');
    const [gain, bound] = [syncMs! / asyncMs!, (g + t) / Math.max(g, t)];
    const perMinute = (ms: number): string => (60_000 / ms).toFixed(0);
    console.log(`a batch: g = ${g.toFixed(0)} ms to generate, t = ${t.toFixed(0)} ms to train`);
    console.log(`maxStaleness 0: ${perMinute(syncMs!)} steps/min (${syncMs!.toFixed(0)} ms a step)`);
    console.log(`maxStaleness 4: ${perMinute(asyncMs!)} steps/min (${asyncMs!.toFixed(0)} ms a step), mean lag ${mean(asynchronous, 'lag/mean').toFixed(1)}`); // prettier-ignore
    console.log(`in parallel: ${(mean(asynchronous, 'busy/policy') * asyncMs!).toFixed(0)} ms to generate, ${mean(asynchronous, 'time/train_ms').toFixed(0)} ms to train, ${mean(asynchronous, 'time/wait_ms').toFixed(0)} ms of waiting for a batch`); // prettier-ignore
    console.log(`ratio ${gain.toFixed(2)}, bound (g + t) / max(g, t) ${bound.toFixed(2)}: ${(100 * gain / bound).toFixed(0)} % of it (target: at least 90 %)`); // prettier-ignore
  } finally {
    await redis.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}
