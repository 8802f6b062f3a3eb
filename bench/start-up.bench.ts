import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunState, type Redis } from '@forge/broker';
import { candidatesPerBatch, childEnvironment } from '@forge/config';
import { startTestRedis } from '@forge/testing';
import { bundleOf } from '@forge/threads';
import { directoryWithModel, SERVICES, smallRecipe } from '../e2e/service-processes';

const ROUNDS = Number(process.env.FORGE_BENCH_ROUNDS ?? 5);
const CLOCK_TICKS_PER_S = 100;

/** Time and memory a process has taken when it is ready. */
interface StartUp {
  seconds: number;
  cpuSeconds: number;
  residentMiB: number;
}

/** A checkout, built, and what starts in it. */
interface Checkout {
  name: string;
  main: (service: string) => string;
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

/** A process's share of the machine so far; its threads' included. */
function taken(pid: number): Omit<StartUp, 'seconds'> {
  const ticks = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  const residentKiB = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  return {
    cpuSeconds: (Number(ticks[11]) + Number(ticks[12])) / CLOCK_TICKS_PER_S,
    residentMiB: residentKiB / 1024,
  };
}

/** Resolves as the line with `text` comes; fails with all that was said when the process ends before. */
function says(child: ChildProcess, text: string): Promise<void> {
  let said = '';
  return new Promise((resolve, reject) => {
    child.once('exit', () => {
      reject(new Error(`it ended without "${text}": ${said}`));
    });
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes(text)) resolve();
      });
  });
}

async function startUp(main: string, args: string[], env: NodeJS.ProcessEnv, text: string): Promise<StartUp> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  await says(child, text);
  const seconds = (performance.now() - startedAt) / 1000;
  const start = { seconds, ...taken(child.pid!) };
  child.kill('SIGKILL');
  await once(child, 'exit');
  return start;
}

/** Makes a run for one service to start in. */
async function createRun(redis: Redis, dir: string, runId: string): Promise<void> {
  const recipe = smallRecipe(dir);
  const { maxStaleness, steps, stopAtAccuracy } = recipe;
  const run = new RunState(redis, runId);
  await run.create(recipe, {
    maxStaleness,
    steps,
    stopAtAccuracy,
    candidatesPerBatch: candidatesPerBatch(recipe),
  });
  run.close();
}

function checkouts(): [baseline: Checkout, measured: Checkout] {
  const of = (root: string, service: string): string => join(root, 'services', service, 'dist', 'main.js');
  const here = join(__dirname, '..');
  const other = process.env.FORGE_BENCH_BASELINE;
  const baseline: Checkout =
    other === undefined
      ? { name: 'compiled files, not bundled', main: (service) => of(here, service) }
      : { name: `the checkout ${other}`, main: (service) => of(other, service) };
  return [baseline, { name: 'bundles', main: (service) => bundleOf(of(here, service)) }];
}

/**
 * Cost of starting a service, up to the line that it has started, and of `forge status`: wall time, CPU time of all
 * threads, resident memory then. The baseline is this checkout without bundles, or the built checkout that
 * FORGE_BENCH_BASELINE names; both are measured by turns.
 */
export async function run(): Promise<void> {
  const server = await startTestRedis();
  const redis = await server.connect();
  const dir = await directoryWithModel();
  const sockets = mkdtempSync(join(tmpdir(), 'forge-start-'));
  const both = checkouts();
  console.log(`baseline: ${both[0].name}; medians of ${ROUNDS}`);
  console.log('| | seconds | x | CPU seconds | x | MiB | x |\n| --- | --- | --- | --- | --- | --- | --- |');
  let runs = 0;
  try {
    for (const service of [...SERVICES, 'status'] as const) {
      const taken = both.map((): StartUp[] => []);
      // The first of each fills the caches of the machine.
      for (let round = 0; round <= ROUNDS; round++)
        for (const [at, { main }] of both.entries()) {
          const runId = `start-${(runs += 1)}`;
          let start: StartUp;
          if (service === 'status') {
            const env = { ...process.env, REDIS_URL: server.url };
            start = await startUp(main('cli'), ['status', '--dir', dir], env, 'nothing is running');
          } else {
            await createRun(redis, dir, runId);
            const env = {
              ...childEnvironment({ redisUrl: server.url, runId, logLevel: 'info' }),
              FORGE_REPLICA: '0',
              FORGE_CALL_ADDRESS: `unix:${join(sockets, runId)}`,
            };
            start = await startUp(main(service), [], env, 'service started');
          }
          if (round > 0) taken[at]!.push(start);
        }
      console.log(`| ${service} | ${row(taken[0]!, taken[1]!)} |`);
    }
  } finally {
    for (const path of [dir, sockets]) rmSync(path, { recursive: true, force: true });
    await server.stop();
  }
}

function row(before: StartUp[], now: StartUp[]): string {
  const columns = (['seconds', 'cpuSeconds', 'residentMiB'] as const).map((key) => {
    const [was, is] = [median(before.map((one) => one[key])), median(now.map((one) => one[key]))];
    const digits = key === 'residentMiB' ? 0 : 2;
    return `${was.toFixed(digits)} -> ${is.toFixed(digits)} | ${(is / was).toFixed(2)}`;
  });
  return columns.join(' | ');
}
