import { context, trace, type ContextManager, type Context } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { thisProc } from '@forge/actors';
import type { Redis } from '@forge/broker';
import { traceOf } from '@forge/telemetry';
import { startTestRedis } from '@forge/testing';
import { SyncContextManager } from '../shared/telemetry/src/tracing/sync-context-manager';
import { Echo } from './actors/echo';

const ROUNDS = 15;
const CALLS = 2_000;
const AT_ONCE = 32;
const PAYLOAD = new Uint8Array(64);
/** A trace as a job brings it along. */
const TRACEPARENT = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

type Work = () => Promise<unknown>;

/** Microseconds of CPU time a call, all of them inside a trace, many at once. */
async function cpuMicros(work: Work, within: Context): Promise<number> {
  const before = process.cpuUsage();
  let left = CALLS;
  const caller = async (): Promise<void> => {
    while (left-- > 0) await context.with(within, work);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, caller));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / CALLS;
}

/** What the policy does for a rollout, but for computing: calls to actors, reads and writes of Redis. */
async function paths(redis: Redis): Promise<Record<string, Work>> {
  const actor = await thisProc().spawn('echo', Echo);
  const call = () => actor.echo.callOne(PAYLOAD);
  return {
    'a call of an actor': call,
    'a rollout: five calls, ten commands of Redis': async () => {
      await Promise.all(Array.from({ length: 5 }, call));
      for (let i = 0; i < 5; i++) {
        await redis.set('context', i);
        await redis.get('context');
      }
    },
  };
}

/**
 * What it costs that a context follows the code through promises: the context manager of the OpenTelemetry SDK for
 * AsyncLocalStorage against ours, which forgets it at the first await. CPU time, since that is what a busy machine runs out of.
 */
export async function run(): Promise<void> {
  const server = await startTestRedis();
  const redis = await server.connect();
  const managers: [name: string, manager: ContextManager][] = [
    ['ours', new SyncContextManager()],
    ['AsyncLocalStorage', new AsyncLocalStorageContextManager()],
  ];
  const within = traceOf(TRACEPARENT) ?? trace.deleteSpan(context.active());
  console.log(`Node ${process.version}, medians of ${ROUNDS}`);
  for (const [name, work] of Object.entries(await paths(redis))) {
    const taken = managers.map((): number[] => []);
    for (let round = 0; round <= ROUNDS; round++)
      for (const [at, [, manager]] of managers.entries()) {
        context.setGlobalContextManager(manager.enable());
        const micros = await cpuMicros(work, within);
        context.disable();
        if (round > 0) taken[at]!.push(micros);
      }
    const ratio = median(taken[1]!.map((micros, round) => micros / taken[0]![round]!));
    const shown = managers.map(([key], at) => `${key} ${median([...taken[at]!]).toFixed(1)} us`);
    console.log(`${name}: ${shown.join(', ')} of CPU, ratio ${ratio.toFixed(3)}`);
  }
  await server.stop();
}
