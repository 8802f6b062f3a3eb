import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry, type Redis } from '@forge/broker';
import { candidatesPerBatch, loadRecipe, type Recipe } from '@forge/config';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { SERVICES, ServiceProcesses } from '../e2e/service-processes';

const ROUNDS = 3;
/** Steps left out at the start: processes come up, the pipeline fills. */
const WARM_UP = 20;
const MEASURED = 100;
/** The machine may be busy. */
const PATIENCE_MS = 600_000;

/** Per step: time, and CPU time of all services. */
interface Figures {
  stepMs: number;
  cpuMs: number;
}

/** A run of the main job that goes on until it is killed; with an endpoint every rollout is traced and exported. */
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

  async figures(): Promise<Figures> {
    const from = await this.at(WARM_UP);
    const to = await this.at(WARM_UP + MEASURED);
    return { stepMs: (to.ms - from.ms) / MEASURED, cpuMs: (to.cpuMs - from.cpuMs) / MEASURED };
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

/** What the services of a run have computed so far. (`/proc` counts in hundredths of a second.) */
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
 * What tracing costs the main job: every rollout traced and exported to an OTLP receiver in another process, against
 * nothing traced; and the default, which keeps a share of them and has no receiver. The runs go side by side, so that
 * whatever else the machine does befalls all of them; what counts is the CPU time of their services, which is what a busy
 * machine runs out of. The target is less than 3 %.
 */
export async function run(): Promise<void> {
  const [redis, dir] = [await startTestRedis(), mkdtempSync(join(tmpdir(), 'forge-bench-'))];
  const { receiver, endpoint } = await startReceiver();
  const variants = [
    { name: 'off', ratio: 0, endpoint: null },
    { name: 'default', ratio: 0.01, endpoint: null },
    { name: 'full', ratio: 0.01, endpoint },
  ];
  const costs = new Map<string, { ratio: number; ms: number }[]>(variants.map(({ name }) => [name, []]));
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const runs: { name: string; run: TracedRun; rollouts: number }[] = [];
      try {
        for (const { name, ratio, endpoint } of [...variants.slice(round), ...variants.slice(0, round)]) {
          const overrides = ['steps=10000', 'evaluation.everySteps=0', `output.dir=${dir}`, `tracing.sampleRatio=${ratio}`]; // prettier-ignore
          const recipe = loadRecipe('arithmetic-grpo', overrides, {
            searchDirs: [join(__dirname, '../infra/recipes')],
          }) as Recipe;
          const run = await TracedRun.start(`${name}-${round}`, recipe, redis, endpoint);
          runs.push({ name, run, rollouts: candidatesPerBatch(recipe) });
        }
        const all = await Promise.all(
          runs.map(async ({ name, run }) => [name, await run.figures()] as const),
        );
        const figures = new Map(all);
        for (const { name } of variants) {
          const { stepMs, cpuMs } = figures.get(name)!;
          const off = figures.get('off')!.cpuMs;
          const ratio = cpuMs / off;
          costs.get(name)!.push({ ratio, ms: (cpuMs - off) / runs[0]!.rollouts });
          console.log(
            `${name.padEnd(8)} ${stepMs.toFixed(1)} ms and ${cpuMs.toFixed(1)} ms of CPU a step, ratio ${ratio.toFixed(3)}`,
          );
        }
      } finally {
        for (const { run } of runs) run.kill();
      }
    }
    receiver.send('how much?');
    const [{ requests, bytes }] = (await once(receiver, 'message')) as [{ requests: number; bytes: number }];
    console.log(`the receiver got ${requests} requests of ${(bytes / 1e6).toFixed(1)} MB`);
    for (const name of ['default', 'full']) {
      const { ratio, ms } = [...costs.get(name)!].sort((a, b) => a.ratio - b.ratio)[Math.floor(ROUNDS / 2)]!;
      console.log(
        `${name}: ratio ${ratio.toFixed(3)} in CPU time (target: below 1.03), ${ms.toFixed(2)} ms a rollout`,
      );
    }
  } finally {
    receiver.disconnect();
    await redis.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}
