import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inProcessHost, spawnService, type Service } from '@forge/actors';
import { Echo, heapUsed } from './actors/echo';
import { bare, bullmq, compare, median, PAYLOAD } from './transports/echoes';

const KILLS = 60;
const KILL_EVERY_MS = 1_000;
const WORK_MS = 10;
const CALLERS = 32;
const REPLICAS = 64;
const SESSIONS = 10_000;
const CALLS = 1_000_000;

/** An echo of 64 bytes by a service of one replica in a process of its own. */
async function echo(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'forge-bench-'));
  const service = await spawnService({ maxConcurrent: 256 }, Echo);
  const subject = {
    name: 'choose()',
    call: () => service.echo.choose(PAYLOAD),
    close: () => service.shutdown(),
  };
  const baselines = { bare: await bare(dir), bullmq: await bullmq(dir) };
  await compare(subject, baselines);
  for (const { close } of [subject, baselines.bare, baselines.bullmq]) await close();
  rmSync(dir, { recursive: true, force: true });
}

/** Calls that go on while one replica of three after the other is killed. */
async function kills(): Promise<void> {
  const service = await spawnService({ numReplicas: 3 }, Echo);
  const killedAt = new Map<number, number>();
  const noticed: number[] = [];
  const replaced: number[] = [];
  const since = (replica: number): number => performance.now() - killedAt.get(replica)!;
  service.on('replica-failed', ({ replica }) => noticed.push(since(replica)));
  service.on('replica-recovered', ({ replica }) => replaced.push(since(replica)));
  let isOver = false;
  let calls = 0;
  const failures: string[] = [];
  const call = async (): Promise<void> => {
    for (; !isOver; calls++)
      await service.work.choose(WORK_MS).catch((error: unknown) => failures.push(String(error)));
  };
  const callers = Promise.all(Array.from({ length: CALLERS }, call));
  for (let kill = 0; kill < KILLS; kill++) {
    await sleep(KILL_EVERY_MS);
    const { index, pids } = service.replicas()[kill % 3]!;
    killedAt.set(index, performance.now());
    for (const pid of pids) process.kill(pid, 'SIGKILL');
  }
  await sleep(KILL_EVERY_MS);
  isOver = true;
  await callers;
  await service.shutdown();
  console.log(
    `${KILLS} kills, one a second, of 3 replicas: ${calls} calls, ${failures.length} failed (target: 0)`,
  );
  console.log(`noticed:  ${noticed.length} ${spread(noticed)} (target: within 50 ms)`);
  console.log(`replaced: ${replaced.length} ${spread(replaced)} (target: within 1000 ms)`);
  for (const failure of failures.slice(0, 3)) console.log(failure);
}

/** Many replicas in this process, and many more sessions. */
async function sessions(): Promise<void> {
  const hosts = [inProcessHost()];
  const service = await spawnService({ numReplicas: REPLICAS, hosts, maxConcurrent: 256 }, Echo);
  const startedAt = performance.now();
  const ids = Array.from({ length: SESSIONS }, () => service.startSession());
  const first = await inSessions(service, ids);
  const again = await inSessions(service, ids);
  const seconds = (performance.now() - startedAt) / 1000;
  const moved = first.filter((name, at) => name !== again[at]).length;
  const perReplica = service.metrics().replicas.map((replica) => replica.sessions);
  for (const id of ids) service.endSession(id);
  const left = service.sessions().size;
  await service.shutdown();
  console.log(
    `${REPLICAS} replicas in this process, ${SESSIONS} sessions: ${((2 * SESSIONS) / seconds).toFixed(0)} calls/s, ` +
      `${Math.min(...perReplica)} to ${Math.max(...perReplica)} sessions a replica, ${moved} moved, ${left} left (targets: 0, 0)`,
  );
}

function inSessions(service: Service<Echo>, ids: readonly string[]): Promise<string[]> {
  return Promise.all(ids.map((session) => service.whoAmI.with({ session }).choose()));
}

/** Measures the bytes a million calls leave on the heaps of caller and replica. */
async function leak(): Promise<void> {
  const service = await spawnService({ maxConcurrent: 256 }, Echo);
  const lane = async (calls: number): Promise<void> => {
    for (let i = 0; i < calls; i++) await service.echo.choose(PAYLOAD);
  };
  const make = (calls: number): Promise<unknown> =>
    Promise.all(Array.from({ length: 100 }, () => lane(calls / 100)));
  const heaps = async (): Promise<number[]> => [heapUsed(), await service.heap.choose()];
  await make(CALLS / 20);
  const before = await heaps();
  const startedAt = performance.now();
  await make(CALLS);
  const seconds = (performance.now() - startedAt) / 1000;
  const after = await heaps();
  await service.shutdown();
  const change = ['caller', 'replica'].map((who, at) => `${who} ${mib(before[at]!)} to ${mib(after[at]!)}`);
  console.log(
    `${CALLS} calls in ${seconds.toFixed(1)} s, heap in MiB: ${change.join(', ')} (target: no growth)`,
  );
}

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);

function spread(ms: readonly number[]): string {
  return `p50 ${median(ms).toFixed(1)} ms, largest ${Math.max(...ms).toFixed(1)} ms`;
}

/**
 * Services at work: an echo against a bare socket and BullMQ, replicas that are killed, many sessions, many calls.
 */
export async function run(): Promise<void> {
  for (const part of [echo, kills, sessions, leak]) {
    console.log(`\n${part.name}`);
    await part();
  }
}
