import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry, type Redis } from '@forge/broker';
import { loadRecipe, type Recipe } from '@forge/config';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { SERVICES, ServiceProcesses } from '../e2e/service-processes';

const ROUNDS = 3;
const STEPS = 60;
/** Steps left out at the start: processes come up, the pipeline fills. */
const WARM_UP = 15;
/** The machine may be busy. */
const PATIENCE_MS = 600_000;

/** Per step behind the warm-up: time, and CPU time of all services. */
interface Figures {
  stepMs: number;
  cpuMs: number;
  fileBytes: number;
}

/** One run of the main job; with an endpoint every rollout is traced and exported. */
async function figuresOf(
  name: string,
  recipe: Recipe,
  redis: TestRedis,
  endpoint: string | null,
): Promise<Figures> {
  const before = { ...process.env };
  if (endpoint !== null) process.env.OTEL_EXPORTER_OTLP_ENDPOINT = endpoint;
  const connection = await redis.connect();
  const processes = await ServiceProcesses.start(redis, connection, name, recipe);
  process.env = before;
  try {
    const reached = (step: number) =>
      waitFor(`step ${step}`, async () => (await processes.runState.version()) >= step, PATIENCE_MS);
    await reached(WARM_UP);
    const from = { ms: performance.now(), cpuMs: await cpuMs(connection, name) };
    await reached(STEPS);
    const to = { ms: performance.now(), cpuMs: await cpuMs(connection, name) };
    await processes.finished();
    await processes.stop();
    const file = join(processes.runDir, 'spans.jsonl');
    const count = STEPS - WARM_UP;
    return {
      stepMs: (to.ms - from.ms) / count,
      cpuMs: (to.cpuMs - from.cpuMs) / count,
      fileBytes: existsSync(file) ? statSync(file).size : 0,
    };
  } finally {
    processes.kill();
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
 * nothing traced; and the default, which keeps a share of them and has no receiver. Runs take turns. The target is less
 * than 3 %.
 */
export async function run(): Promise<void> {
  const [redis, dir] = [await startTestRedis(), mkdtempSync(join(tmpdir(), 'forge-bench-'))];
  const { receiver, endpoint } = await startReceiver();
  const variants = [
    { name: 'off', ratio: 0, endpoint: null },
    { name: 'default', ratio: 0.01, endpoint: null },
    { name: 'full', ratio: 0.01, endpoint },
  ];
  const results = new Map<string, Figures[]>(variants.map(({ name }) => [name, []]));
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const variant of round % 2 === 0 ? variants : [...variants].reverse()) {
        const overrides = [`steps=${STEPS}`, 'evaluation.everySteps=0', `output.dir=${dir}`, `tracing.sampleRatio=${variant.ratio}`]; // prettier-ignore
        const recipe = loadRecipe('arithmetic-grpo', overrides, {
          searchDirs: [join(__dirname, '../infra/recipes')],
        }) as Recipe;
        const figures = await figuresOf(`${variant.name}-${round}`, recipe, redis, variant.endpoint);
        results.get(variant.name)!.push(figures);
        const { stepMs, cpuMs, fileBytes } = figures;
        console.log(
          `${variant.name.padEnd(8)} ${stepMs.toFixed(1)} ms and ${cpuMs.toFixed(1)} ms of CPU a step; spans.jsonl ${(fileBytes / 1e6).toFixed(1)} MB`,
        );
      }
    }
    receiver.send('how much?');
    const [{ requests, bytes }] = (await once(receiver, 'message')) as [{ requests: number; bytes: number }];
    console.log(`the receiver got ${requests} requests of ${(bytes / 1e6).toFixed(1)} MB`);
    const best = (name: string, of: (figures: Figures) => number): number =>
      Math.min(...results.get(name)!.map(of));
    for (const name of ['default', 'full']) {
      const [time, cpu] = [({ stepMs }: Figures) => stepMs, ({ cpuMs }: Figures) => cpuMs].map(
        (of) => best(name, of) / best('off', of),
      );
      console.log(
        `${name}: ratio ${time!.toFixed(3)} in time, ${cpu!.toFixed(3)} in CPU time (target: below 1.03)`,
      );
    }
  } finally {
    receiver.disconnect();
    await redis.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}
