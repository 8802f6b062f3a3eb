import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunState } from '@forge/broker';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { createModelDirectory, ServiceProcesses, smallRecipe } from '../e2e/service-processes';

const STEPS = 20;
/** Steps left out at the start: processes come up, the pipeline fills. */
const WARM_UP = 5;

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
  batch: { groups: 24, oversample: 2.5 },
  sampling: { temperature: 1, maxTokens: 32 },
  rewards: [{ name: 'length', targetTokens: 16 }],
  trainer: { learningRate: 1e-6, threads: 1, checkpointEverySteps: 1000 },
  policy: { threads: 1, maxBatch: 192, jobConcurrency: 24, chunk: 16, weights: 'inputs' },
  evaluation: { everySteps: 0 },
};

/** Milliseconds per step behind the warm-up. */
interface Figures {
  stepMs: number;
  /** Time the generator, and the train step, were at work. */
  generateMs: number;
  trainMs: number;
  /** Time the trainer waited for a batch. */
  waitMs: number;
  lag: number;
}

/** Figures from the telemetry of a run of separate processes. */
async function figuresAt(maxStaleness: number, dir: string, redis: TestRedis): Promise<Figures> {
  const recipe = smallRecipe(dir, { ...RECIPE, maxStaleness });
  const run = await ServiceProcesses.start(redis, await redis.connect(), `staleness-${maxStaleness}`, recipe);
  try {
    await run.finished();
    const entries = await telemetry(run.runState);
    await run.stop();
    return figuresOf(entries);
  } finally {
    run.kill();
  }
}

type Entry = Awaited<ReturnType<RunState['readTelemetry']>>[number];

async function telemetry(runState: RunState): Promise<Entry[]> {
  const all: Entry[] = [];
  for (;;) {
    const next = await runState.readTelemetry(all.at(-1)?.id ?? '0', 1);
    if (next.length === 0) return all;
    all.push(...next);
  }
}

function figuresOf(entries: readonly Entry[]): Figures {
  const atMs = ({ id }: Entry): number => Number(id.split('-')[0]);
  const steps = entries.flatMap((entry) =>
    entry.event?.kind === 'step' && entry.event.step >= WARM_UP
      ? [{ atMs: atMs(entry), values: entry.event.values }]
      : [],
  );
  const [first, last] = [steps[0]!, steps.at(-1)!];
  const count = steps.length - 1;
  const busyMs = entries
    .filter((entry) => atMs(entry) > first.atMs && atMs(entry) <= last.atMs)
    .reduce((sum, { event }) => {
      if (event?.kind !== 'service' || event.service !== 'policy') return sum;
      return sum + (event.values['busyMs'] ?? 0);
    }, 0);
  const mean = (key: string): number =>
    steps.slice(1).reduce((sum, { values }) => sum + (values[key] ?? 0), 0) / count;
  return {
    stepMs: (last.atMs - first.atMs) / count,
    generateMs: busyMs / count,
    trainMs: mean('time/train_ms'),
    waitMs: mean('time/wait_ms'),
    lag: mean('lag/mean'),
  };
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
    const synchronous = await figuresAt(0, dir, redis);
    const asynchronous = await figuresAt(4, dir, redis);
    const { generateMs: g, trainMs: t } = synchronous;
    const [gain, bound] = [synchronous.stepMs / asynchronous.stepMs, (g + t) / Math.max(g, t)];
    const show = (maxStaleness: number, { stepMs, generateMs, trainMs, waitMs, lag }: Figures): void => {
      console.log(
        `maxStaleness ${maxStaleness}: ${(60_000 / stepMs).toFixed(0)} steps/min, ${stepMs.toFixed(0)} ms a step: ` +
          `${generateMs.toFixed(0)} ms to generate, ${trainMs.toFixed(0)} ms to train, ` +
          `${waitMs.toFixed(0)} ms without a batch; mean lag ${lag.toFixed(1)}`,
      );
    };
    show(0, synchronous);
    show(4, asynchronous);
    console.log(
      `ratio ${gain.toFixed(2)}, bound (g + t) / max(g, t) ${bound.toFixed(2)}: ` +
        `${((100 * gain) / bound).toFixed(0)} % of it (target: at least 90 %)`,
    );
  } finally {
    await redis.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}
