import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import {
  actorSecurity,
  meteringEnvironment,
  serviceEnvironment,
  parseResolvedRecipe,
  type Recipe,
} from '@forge/config';
import {
  RedisTransport,
  serveActor,
  useTransport,
  type DeployedActor,
  type ServableActor,
  type ServedActor,
} from '@forge/actors';
import { connectRedis, readBacklog, Registry, RunState, SpanLog, type Backlog } from '@forge/broker';
import { ForgeError } from '@forge/errors';
import { createLogger, Metering, metricCollector, type Logger, type RunTraces } from '@forge/telemetry';
import { callsMade, type CalledService } from './calls-made';
import { ownHost, reachableAddress } from './reachable-address';
import { reportRecorded } from './recorded-reports';
import { watchRecovery } from './recovery';
import { runBounds } from './run-limits';
import { openEndpoints, type Vitals } from './service-endpoints';
import { traceService } from './trace-service';
import { waitForRun } from './wait-for-run';

/** Things that a service works with. */
export interface ServiceContext {
  runId: string;
  replica: string;
  redisUrl: string;
  recipe: Recipe;
  runState: RunState;
  registry: Registry;
  logger: Logger;
  traces: RunTraces;
  /** Finished spans on their way to the directory of the run. */
  spans: SpanLog;
  /** Work that waits between the services of the run. */
  backlog: () => Promise<Backlog>;
  /** Interface at which it is to listen for those who are no service, unless its recipe says another. */
  httpHost: string;
  /** The address that others are told of one of its own. */
  reachable: (address: string) => string;
  /** Whether processes of other hosts reach what it serves. */
  isReachable: boolean;
  /** Lets other processes call an actor of this one, all of its actors at one address; where that is. */
  serve: (actor: ServableActor) => Promise<DeployedActor>;
  /** Ends the process because of an unhandled error. */
  fail: (error: unknown) => void;
}

export interface ServiceInstance {
  /** Whether calls may come. */
  ready: () => boolean;
  /** Finishes or hands back the work under way. */
  drain: () => Promise<void>;
  /** Answers the calls of other services; it was spawned by `thisProc()`. */
  actor?: ServableActor;
  /** The services it calls: what it sees of their replicas is reported with every heartbeat. */
  calls?: readonly CalledService[];
  /**
   * Totals since the start, e.g. `tokens` and those of an ActivityClock; reported once a second as the growth since the
   * last report.
   */
  totals?: () => Record<string, number> | Promise<Record<string, number>>;
  /** Numbers that are reported with them as they stand. */
  gauges?: () => Promise<Record<string, number>>;
  /** The newest value of each metric of the run, for Prometheus and OTLP. */
  newest?: () => Readonly<Record<string, number>>;
}

export interface ServiceDefinition {
  name: string;
  start: (context: ServiceContext) => Promise<ServiceInstance>;
}

const REPORT_INTERVAL_MS = 1000;
/**
 * Growth of the heap of a thread, in percent of what lives in it, before V8 looks for garbage in all of it. Without a bound
 * V8 lets it come to four times as much, and on Node 24 keeps the pages.
 */
const HEAP_GROWTH_PERCENT = 100;

/**
 * Runs a service as this process: serves health and readiness over HTTP, connects, reads the run's recipe, starts,
 * registers with a heartbeat, and drains on SIGTERM or when the process that started it is gone. A service
 * without a supervisor waits for its run, and drains on Ctrl-C as well.
 */
export function runService({ name, start }: ServiceDefinition): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH_PERCENT}`);
  void serve(name, start).catch((error: unknown) => exitBecauseOf(name, error));
}

/**
 * Ends the process with the error as its last line. Exit code 2 says that a new process would end the same way, which a
 * missing file does not: another process may be about to write or replace it.
 */
function exitBecauseOf(name: string, cause: unknown): never {
  const error = ForgeError.from(cause);
  process.stderr.write(`${name}: ${error.code}: ${error.message}\n`);
  const mayCome = error.is('CONFIG_PATH_UNUSABLE') && error.details.errno === 'ENOENT';
  const isHere = /^(CONFIG|ENGINE)_/.test(error.code) || error.is('NUMERIC_DEVICE_WRONG');
  process.exit(isHere && !mayCome ? 2 : 1);
}

async function serve(name: string, start: ServiceDefinition['start']): Promise<void> {
  const environment = serviceEnvironment();
  const { runId, replica, redisUrl } = environment;
  const logger = createLogger({ service: name, runId, replica, level: environment.logLevel });
  const fail = (error: unknown): void => {
    if (ForgeError.from(error).code === 'STALE_EPOCH') logger.warn({ err: error }, 'another one took over');
    else logger.fatal({ err: error }, 'service failed');
    exitBecauseOf(name, error);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);

  // A service that is still starting has nothing to drain.
  let drain = (): Promise<void> => Promise.resolve();
  let isStopping = false;
  const stop = (reason: string): void => {
    isStopping = true;
    logger.info({ reason }, 'draining');
    drain()
      .then(() => {
        logger.info('drained');
        process.exit(0);
      })
      .catch(fail);
  };
  process.on('SIGTERM', () => {
    if (isStopping) process.exit(1);
    stop('SIGTERM');
  });
  process.on('disconnect', () => {
    if (!isStopping) stop('the supervisor is gone');
  });
  // Ctrl-C reaches the whole process group; the supervisor, where there is one, decides what ends, and when.
  const isSupervised = process.connected;
  process.on('SIGINT', () => {
    if (isSupervised) logger.debug('SIGINT is left to the supervisor');
    else if (isStopping) process.exit(1);
    else stop('SIGINT');
  });

  const vitals: Vitals = {
    ...{ service: name, replica, waitsFor: 'Redis', metering: null },
    isReady: () => false,
    refused: () => undefined,
  };
  const endpoints = await openEndpoints({ host: environment.httpHost, port: environment.httpPort }, vitals);

  const onWait = (message: string): void => logger.warn(message);
  const redis = await connectRedis(redisUrl, {
    name: `${name}-${replica}`,
    giveUpAfterMs: environment.redisWaitSeconds * 1000,
    onWait,
  });
  redis.on('close', () => logger.warn('lost Redis; waiting for it'));
  redis.on('ready', () => logger.info('Redis is back'));
  useTransport(new RedisTransport(redis, actorSecurity()));
  const bare = new RunState(redis, runId);
  vitals.waitsFor = `run ${runId}`;
  const recipe = isSupervised ? parseResolvedRecipe(await bare.config()) : await waitForRun(bare, onWait);
  await bare.checkRelease();
  vitals.waitsFor = null;
  const { heartbeatMs, drainSeconds, callTimeoutMs } = recipe.limits;
  endWhenBlocked(`${name}/${replica}`, callTimeoutMs);
  const runState = new RunState(redis, runId, runBounds(recipe));
  const registry = new Registry(redis, runId);
  const { rejections } = runState;
  vitals.refused = (reason) => {
    rejections.count('http', reason);
  };

  const backlog = (): Promise<Backlog> => readBacklog(redis, runState.keys);
  const wantsValues = recipe.output.sinks.some(({ mode }) => mode === 'per_rank_no_reduce');
  const reportRest = reportRecorded(runState, { service: name, replica }, wantsValues, fail);
  const host = environment.host ?? ownHost();
  const reachable = (address: string): string => reachableAddress(address, host);
  const spans = new SpanLog(redis, runState, recipe.limits.spans);
  const onRefused = (why: ForgeError): void => {
    rejections.count('calls', why);
  };
  let listening: Promise<ServedActor> | null = null;
  const serve = async (actor: ServableActor): Promise<DeployedActor> => {
    const served = await (listening ??= serveActor(actor, environment.callAddress, onRefused));
    return { address: reachable(served.address), actor: served.idOf(actor) };
  };
  const tracing = await traceService(recipe, { service: name, replica, runId }, spans, logger);
  const instance = await start({
    runId,
    replica,
    redisUrl,
    recipe,
    runState,
    registry,
    logger,
    traces: tracing.traces,
    spans,
    backlog,
    httpHost: environment.httpHost,
    reachable,
    isReachable: !environment.callAddress.startsWith('unix'),
    serve,
    fail,
  });
  vitals.isReady = () => instance.ready();
  const { newest } = instance;
  vitals.metering = new Metering({
    ...{ service: name, replica, runId },
    settings: meteringEnvironment(),
    metered: {
      totals: () => instance.totals?.() ?? {},
      ...(newest !== undefined && { newest }),
      recorded: metricCollector(),
    },
    warn: (message) => {
      logger.warn(message);
    },
  });
  const answers = instance.actor ? await serve(instance.actor) : null;
  const url = reachable(endpoints.url);
  logger.info({ url, pid: process.pid }, 'service started');

  const recovery = await watchRecovery(registry, name, replica);
  const beat = async (): Promise<void> => {
    const isReady = instance.ready();
    await registry.heartbeat({
      service: name,
      replica,
      url,
      pid: process.pid,
      isReady,
      answers,
      callsMade: (instance.calls ?? []).flatMap(callsMade),
    });
    if (isReady) await recovery.isBack();
  };
  let last: { totals: Record<string, number>; atMs: number } = { totals: {}, atMs: performance.now() };
  const tellRejections = async (): Promise<void> => {
    for (const refused of await rejections.flush()) logger.warn(refused, 'messages refused');
  };
  const report = async (): Promise<void> => {
    await tellRejections();
    const now = { totals: (await instance.totals?.()) ?? {}, atMs: performance.now() };
    const growth = Object.entries(now.totals).map(
      ([key, value]) => [key, value - (last.totals[key] ?? 0)] as const,
    );
    const intervalMs = now.atMs - last.atMs;
    last = now;
    const gauges = (await instance.gauges?.()) ?? {};
    const residentBytes = process.memoryUsage.rss();
    const values = { ...Object.fromEntries(growth), ...gauges, intervalMs, residentBytes };
    return runState.emit({ kind: 'service', service: name, replica, values });
  };
  await registry.begins(name, replica);
  await beat();
  const timers = [
    setInterval(() => void beat().catch(fail), heartbeatMs),
    setInterval(() => void report().catch(fail), REPORT_INTERVAL_MS),
  ];

  drain = async () => {
    setTimeout(() => {
      logger.error('did not drain in time');
      process.exit(1);
    }, drainSeconds * 1000).unref();
    for (const timer of timers) clearInterval(timer);
    await registry.remove(name, replica, process.pid);
    await instance.drain();
    await (await listening)?.close();
    await endpoints.close();
    await tellRejections();
    await reportRest();
    await Promise.all([vitals.metering?.stop(), tracing.stop()]);
    runState.close();
    redis.disconnect();
  };
}

/** A service that answers no caller for as long as a call may take is of no use any more. */
function endWhenBlocked(name: string, limitMs: number): void {
  const turns = new Int32Array(new SharedArrayBuffer(4));
  setInterval(() => Atomics.add(turns, 0, 1), limitMs / 50).unref();
  new Worker(join(__dirname, 'loop-watch.js'), {
    workerData: { turns, limitMs, name },
    execArgv: [],
  }).unref();
}
