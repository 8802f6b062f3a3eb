import { context, type Context, type ContextManager, type Tracer } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, type SpanProcessor } from '@opentelemetry/sdk-trace-base';
import { thisProc } from '@forge/actors';
import type { Redis } from '@forge/broker';
import { traceOf } from '@forge/telemetry';
import { startTestRedis } from '@forge/testing';
import { SyncContextManager } from '../shared/telemetry/src/tracing/sync-context-manager';
import { ForgeTracerProvider } from '../shared/telemetry/src/tracing/tracer';
import { Echo } from './actors/echo';

const ROUNDS = 15;
const CALLS = 2_000;
const AT_ONCE = 32;
const SPANS = 20_000;
/** Limits of the SDK. */
const LIMITS = {
  attributes: 128,
  valueLength: Infinity,
  events: 128,
  links: 128,
  eventAttributes: 128,
  linkAttributes: 128,
};
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

/** Work of the policy for a rollout, but for computing: calls to actors, reads and writes of Redis. */
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

/** Microseconds of CPU time to make and end a span of the given tracer, inside a trace, with attributes like ours. */
function spanMicros(tracer: Tracer, within: Context): number {
  const before = process.cpuUsage();
  for (let i = 0; i < SPANS; i++)
    tracer.startSpan('score', { attributes: { index: i, group: 7, 'forge.run.id': 'run' } }, within).end();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / SPANS;
}

/** Both subjects by turns, one warm-up each: medians, and the median of their ratios. */
async function compare(name: string, ours: Subject, theirs: Subject): Promise<void> {
  const taken = [ours, theirs].map((): number[] => []);
  for (let round = 0; round <= ROUNDS; round++)
    for (const [at, subject] of [ours, theirs].entries()) {
      const micros = await subject.measure();
      if (round > 0) taken[at]!.push(micros);
    }
  const ratio = median(taken[1]!.map((micros, round) => micros / taken[0]![round]!));
  const shown = [ours, theirs].map(
    (subject, at) => `${subject.name} ${median([...taken[at]!]).toFixed(1)} us`,
  );
  console.log(`${name}: ${shown.join(', ')} of CPU, ratio ${ratio.toFixed(3)}`);
}

interface Subject {
  name: string;
  measure: () => number | Promise<number>;
}

/**
 * Cost of the parts of the OpenTelemetry SDK that ours stand in place of. Its context manager lets a context follow the
 * code through promises by AsyncLocalStorage, ours forgets it at the first await; its tracer makes the same spans. CPU
 * time, since that is what a busy machine runs out of.
 */
export async function run(): Promise<void> {
  const server = await startTestRedis();
  const redis = await server.connect();
  const within = traceOf(TRACEPARENT)!;
  console.log(`Node ${process.version}, medians of ${ROUNDS}`);
  for (const [name, work] of Object.entries(await paths(redis))) {
    const managed = (manager: ContextManager) => async (): Promise<number> => {
      context.setGlobalContextManager(manager.enable());
      const micros = await cpuMicros(work, within);
      context.disable();
      return micros;
    };
    const ours = { name: 'ours', measure: managed(new SyncContextManager()) };
    const theirs = { name: 'AsyncLocalStorage', measure: managed(new AsyncLocalStorageContextManager()) };
    await compare(name, ours, theirs);
  }
  await compare(
    'a span',
    { name: 'ours', measure: () => spanMicros(tracerOf('ours'), within) },
    { name: 'the SDK', measure: () => spanMicros(tracerOf('SDK'), within) },
  );
  await server.stop();
}

/** A tracer whose spans go nowhere. */
function tracerOf(whose: 'ours' | 'SDK'): Tracer {
  const nowhere: SpanProcessor = {
    onStart: () => undefined,
    onEnd: () => undefined,
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve(),
  };
  const resource = resourceFromAttributes({});
  const spanProcessors = [nowhere];
  if (whose === 'SDK') return new BasicTracerProvider({ resource, spanProcessors }).getTracer('bench');
  return new ForgeTracerProvider({
    resource,
    processors: spanProcessors,
    sampleRatio: 1,
    limits: LIMITS,
  }).getTracer('bench');
}
