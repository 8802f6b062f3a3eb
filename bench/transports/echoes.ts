import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { provisionRedis } from '@forge/broker';
import { Queue, QueueEvents } from 'bullmq';
import { bareFrames } from './bare-frames.cjs';

/** Bytes that travel to another process and back. */
export const PAYLOAD = Buffer.alloc(64, 'x');
const ROUND_MS = 1_500;
const ROUNDS = 3;
const CONCURRENCIES = [1, 256];

type Call = () => Promise<unknown>;
/** A way of having a payload echoed. */
export interface Subject {
  name: string;
  call: Call;
  close: () => Promise<unknown>;
}
interface Figures {
  p50Us: number;
  perSecond: number;
}

/** Forks a script, and waits for its first message. */
export async function start(
  script: string,
  ...args: string[]
): Promise<{ child: ChildProcess; said: string }> {
  const child = fork(join(process.cwd(), script), args, { execArgv: [] });
  const [said] = (await once(child, 'message')) as [string];
  return { child, said };
}

export async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** Length and msgpack over a unix socket, and nothing else: the least that two processes can do. */
export async function bare(dir: string): Promise<Subject> {
  const path = join(dir, 'bare');
  const { child } = await start('bench/transports/bare-echo.cjs', path);
  const socket = connect(path);
  await once(socket, 'connect');
  const waiting = new Map<number, (payload: unknown) => void>();
  const send = bareFrames(socket, ({ id, payload }) => {
    waiting.get(id)?.(payload);
    waiting.delete(id);
  });
  let id = 0;
  return {
    name: 'bare msgpack',
    call: () =>
      new Promise((resolve) => {
        waiting.set(++id, resolve);
        send({ id, payload: PAYLOAD });
      }),
    close: async () => {
      socket.destroy();
      await end(child);
    },
  };
}

/** A job, and waiting until it has finished. */
export async function bullmq(dir: string): Promise<Subject> {
  const server = await provisionRedis({ dir, log: () => undefined, mayInstall: false });
  const { child } = await start('bench/transports/bullmq-echo.cjs', server.url);
  const { hostname, port } = new URL(server.url);
  const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null };
  const queue = new Queue('echo', { connection });
  const events = new QueueEvents('echo', { connection });
  events.setMaxListeners(0);
  queue.setMaxListeners(0);
  await events.waitUntilReady();
  const data = { payload: PAYLOAD.toString() };
  return {
    name: 'BullMQ',
    call: async () => (await queue.add('echo', data)).waitUntilFinished(events),
    close: async () => {
      await end(child);
      await Promise.all([queue.close(), events.close()]);
      await server.stop();
    },
  };
}

async function measure(call: Call, concurrency: number): Promise<Figures> {
  const latencies: number[] = [];
  const startedAt = performance.now();
  const lane = async (): Promise<void> => {
    for (let at = performance.now(); at - startedAt < ROUND_MS;) {
      await call();
      const now = performance.now();
      latencies.push(now - at);
      at = now;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  const seconds = (performance.now() - startedAt) / 1000;
  return { p50Us: 1000 * median(latencies), perSecond: latencies.length / seconds };
}

export const median = (values: readonly number[]): number =>
  Float64Array.from(values).sort()[values.length >> 1]!;

/** Measures `subject` and what it is compared with in turn, and prints figures and ratios beside the targets. */
export async function compare(
  subject: Subject,
  baselines: { bare: Subject; bullmq: Subject },
): Promise<void> {
  const subjects = [subject, baselines.bare, baselines.bullmq];
  const figures = new Map<string, Figures[]>();
  // The first round warms up; the rounds alternate, so that all meet the same load of the machine.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { name, call } of subjects) {
      for (const concurrency of CONCURRENCIES) {
        const key = `${name} ${concurrency}`;
        const measured = await measure(call, concurrency);
        if (round > 0) figures.set(key, [...(figures.get(key) ?? []), measured]);
      }
    }
  }
  const of = (name: string, concurrency: number, field: keyof Figures): number =>
    median(figures.get(`${name} ${concurrency}`)!.map((one) => one[field]));
  for (const concurrency of CONCURRENCIES) {
    for (const { name } of subjects) {
      const [p50Us, perSecond] = [of(name, concurrency, 'p50Us'), of(name, concurrency, 'perSecond')];
      const row = `${name} at ${concurrency}:`.padEnd(24);
      console.log(
        `${row} p50 ${p50Us.toFixed(0).padStart(6)} us ${perSecond.toFixed(0).padStart(7)} calls/s`,
      );
    }
  }
  const ratio = (field: keyof Figures, concurrency: number, baseline: string): string =>
    (of(subject.name, concurrency, field) / of(baseline, concurrency, field)).toFixed(2);
  console.log(`p50 at 1, of bare:        ${ratio('p50Us', 1, baselines.bare.name)} (target: at most 2)`);
  console.log(
    `calls/s at 256, of bare:  ${ratio('perSecond', 256, baselines.bare.name)} (target: at least 0.4)`,
  );
  console.log(
    `calls/s at 256, of BullMQ: ${ratio('perSecond', 256, baselines.bullmq.name)} (target: at least 10)`,
  );
}
