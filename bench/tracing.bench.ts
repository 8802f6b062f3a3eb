import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry, type Redis } from '@forge/broker';
import { candidatesPerBatch, loadRecipe, type Recipe } from '@forge/config';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { createModelDirectory, SERVICES, ServiceProcesses } from '../e2e/service-processes';

const ROUNDS = 3;
/** Sizes of a model that is small still: 1.8 million parameters, four times those of the main job. */
const LARGER = {
  hidden_size: 192,
  intermediate_size: 512,
  num_hidden_layers: 4,
  num_attention_heads: 6,
  num_key_value_heads: 6,
};
/** The machine may be busy. */
const PATIENCE_MS = 600_000;

/** A job to run, with its overrides of the recipe. */
interface Job {
  name: string;
  overrides: readonly string[];
  /** Steps left out at the start: processes come up, the pipeline fills. */
  warmUp: number;
  measured: number;
}

/** Settings of tracing to compare. */
interface Variant {
  name: string;
  sampleRatio: number;
  /** Address of a receiver; null for none. */
  endpoint: string | null;
}

/** Per step: time, and CPU time of all services. */
interface Figures {
  stepMs: number;
  cpuMs: number;
}

/** A run that goes on until it is killed; with an endpoint every rollout is traced and exported. */
class TracedRun {
  private constructor(
    private readonly redis: Redis,
    private readonly processes: ServiceProcesses,
  ) {}

  static async start(
    name: string,
    recipe: Recipe,
    redis: TestRedis,
    endpoint: string | null,
  ): Promise<TracedRun> {
    const before = { ...process.env };
    if (endpoint !== null) process.env.OTEL_EXPORTER_OTLP_ENDPOINT = endpoint;
    const connection = await redis.connect();
    const processes = await ServiceProcesses.start(redis, connection, name, recipe);
    process.env = before;
    return new TracedRun(connection, processes);
  }

  async figures({ warmUp, measured }: Job): Promise<Figures> {
    const from = await this.at(warmUp);
    const to = await this.at(warmUp + measured);
    return { stepMs: (to.ms - from.ms) / measured, cpuMs: (to.cpuMs - from.cpuMs) / measured };
  }

  kill(): void {
    this.processes.kill();
  }

  private async at(step: number): Promise<{ ms: number; cpuMs: number }> {
    const { runState } = this.processes;
    await waitFor(`step ${step}`, async () => (await runState.version()) >= step, PATIENCE_MS);
    return { ms: performance.now(), cpuMs: await cpuMs(this.redis, runState.runId) };
  }
}

/** CPU time the services of a run have taken so far. (`/proc` counts in hundredths of a second.) */
async function cpuMs(redis: Redis, runId: string): Promise<number> {
  const registry = new Registry(redis, runId);
  const replicas = (await Promise.all(SERVICES.map((service) => registry.list(service)))).flat();
  return replicas.reduce((sum, { pid }) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return sum + 10 * (Number(fields[11]) + Number(fields[12]));
  }, 0);
}

async function startReceiver(): Promise<{ receiver: ChildProcess; endpoint: string }> {
  const receiver = fork(join(__dirname, 'tracing', 'receiver.cjs'));
  const [{ port }] = (await once(receiver, 'message')) as [{ port: number }];
  return { receiver, endpoint: `http://127.0.0.1:${port}` };
}

/**
 * Cost of tracing: every rollout traced and exported to an OTLP receiver in another process, against nothing traced;
 * and the default, which keeps a share of them and has no receiver. Once in the main job, whose rollouts are as cheap
 * as rollouts get, and once with a larger model, which does not learn: untrained, it would come to write more or less
 * at another pace in each run. The runs go side by side, so that other work of the machine befalls all of them; the
 * figure is the CPU time of their services, which is what a busy machine runs out of. The target is less than 3 %.
 */
export async function run(): Promise<void> {
  const [redis, dir] = [await startTestRedis(), mkdtempSync(join(tmpdir(), 'forge-bench-'))];
  const { receiver, endpoint } = await startReceiver();
  const variants: Variant[] = [
    { name: 'off', sampleRatio: 0, endpoint: null },
    { name: 'default', sampleRatio: 0.01, endpoint: null },
    { name: 'full', sampleRatio: 0.01, endpoint },
  ];
  try {
    await createModelDirectory(dir, LARGER);
    const larger = [`model=${join(dir, 'model')}`, 'sampling.maxTokens=16', 'trainer.learningRate=1e-9'];
    const jobs: Job[] = [
      { name: 'main-job', overrides: [], warmUp: 20, measured: 100 },
      { name: 'larger-model', overrides: larger, warmUp: 10, measured: 20 },
    ];
    for (const job of jobs) await compare(job, variants, redis, dir);
    receiver.send('how much?');
    const [{ requests, bytes }] = (await once(receiver, 'message')) as [{ requests: number; bytes: number }];
    console.log(`the receiver got ${requests} requests of ${(bytes / 1e6).toFixed(1)} MB`);
  } finally {
    receiver.disconnect();
    await redis.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function compare(job: Job, variants: readonly Variant[], redis: TestRedis, dir: string): Promise<void> {
  const costs = new Map<string, { ratio: number; ms: number }[]>(variants.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    const runs: { name: string; run: TracedRun; rollouts: number }[] = [];
    try {
      for (const { name, sampleRatio, endpoint } of [...variants.slice(round), ...variants.slice(0, round)]) {
        const overrides = [
          'steps=10000',
          'evaluation.everySteps=0',
          `output.dir=${dir}`,
          `tracing.sampleRatio=${sampleRatio}`,
          ...job.overrides,
        ];
        const recipe = loadRecipe('arithmetic-grpo', overrides, {
          searchDirs: [join(__dirname, '../infra/recipes')],
        }) as Recipe;
        const run = await TracedRun.start(`${job.name}-${name}-${round}`, recipe, redis, endpoint);
        runs.push({ name, run, rollouts: candidatesPerBatch(recipe) });
      }
      const figures = new Map(
        await Promise.all(runs.map(async ({ name, run }) => [name, await run.figures(job)] as const)),
      );
      const { rollouts } = runs[0]!;
      const off = figures.get('off')!.cpuMs;
      for (const { name } of variants) {
        const { stepMs, cpuMs } = figures.get(name)!;
        costs.get(name)!.push({ ratio: cpuMs / off, ms: (cpuMs - off) / rollouts });
        console.log(
          `${job.name}, ${name.padEnd(8)} ${stepMs.toFixed(1)} ms a step, ${(cpuMs / rollouts).toFixed(2)} ms of CPU a rollout, ratio ${(cpuMs / off).toFixed(3)}`,
        );
      }
    } finally {
      for (const { run } of runs) run.kill();
    }
  }
  for (const { name } of variants.filter(({ name }) => name !== 'off')) {
    const { ratio, ms } = costs.get(name)!.sort((a, b) => a.ratio - b.ratio)[Math.floor(ROUNDS / 2)]!;
    console.log(
      `${job.name}, ${name}: ratio ${ratio.toFixed(3)} in CPU time (target: below 1.03), ${ms.toFixed(2)} ms a rollout`,
    );
  }
}
