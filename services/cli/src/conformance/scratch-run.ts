import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisTransport, thisProc, useTransport, type ActorMesh } from '@forge/actors';
import {
  connectRedis,
  provisionRedis,
  Registry,
  removeRun,
  RunState,
  type ProvisionedRedis,
  type Redis,
} from '@forge/broker';
import { actorSecurity, childEnvironment, storedRecipe, type Recipe } from '@forge/config';
import { runPaths, type Replica, type ServiceName, type TelemetryEvent } from '@forge/contracts';
import { loadModel, type LoadedModel } from '@forge/model';
import { loadTask } from '@forge/recipe-parts';
import { Policy } from '@forge/rl-actors';
import type { Task } from '@forge/rl';
import { newRunId } from '@forge/runs';
import { settingsOf } from '../running/create-run';
import { difference, firstFault } from './check';
import { Part } from './part';

export interface ScratchOptions {
  role: ServiceName;
  recipe: Recipe;
  /** A Redis to use; undefined: one of its own. */
  redisUrl: string | undefined;
  /** Starts the part under test; null: somebody else does. */
  command: string | null;
  /** Longest wait for anything that is expected to come. */
  timeoutMs: number;
  say: (message: string) => void;
}

const LOOK_MS = 50;
const REDIS_WAIT_MS = 10_000;

/** A run with nothing but the part under test; the other parts are played. */
export class ScratchRun {
  readonly runState: RunState;
  readonly registry: Registry;
  readonly part: Part;

  private constructor(
    readonly options: ScratchOptions,
    readonly runId: string,
    readonly redis: Redis,
    readonly model: LoadedModel,
    readonly task: Task,
    private readonly server: ProvisionedRedis,
    readonly home: string,
  ) {
    this.runState = new RunState(redis, runId);
    this.registry = new Registry(redis, runId);
    const environment = childEnvironment({ redisUrl: server.url, runId, logLevel: 'warn' });
    this.part = new Part(
      options.command,
      { ...environment, FORGE_REPLICA: '0' },
      join(home, `${options.role}.log`),
    );
  }

  static async open(options: ScratchOptions): Promise<ScratchRun> {
    const { role, redisUrl, say } = options;
    const runId = newRunId(`conformance-${role}`, new Date(), randomBytes(2).toString('hex'));
    const home = resolve('.forge', 'conformance', runId);
    const model = await loadModel(options.recipe.model);
    const recipe = { ...options.recipe, model: model.dir, output: { ...options.recipe.output, dir: home } };
    const server = await provisionRedis({
      ...{ url: redisUrl, dir: join(home, 'redis'), log: say, mayInstall: true },
    });
    const { url } = server;
    const redis = await connectRedis(url, { name: 'forge-conformance', giveUpAfterMs: REDIS_WAIT_MS });
    useTransport(new RedisTransport(redis, actorSecurity()));
    const run = new ScratchRun(
      { ...options, recipe },
      runId,
      redis,
      model,
      await loadTask(recipe),
      server,
      home,
    );
    await mkdir(runPaths(join(home, runId)).weights, { recursive: true });
    await run.runState.create(storedRecipe(recipe), settingsOf(recipe));
    await run.runState.newCoordinator();
    if (options.command === null) say(`start the part with REDIS_URL=${url} FORGE_RUN_ID=${runId}`);
    return run;
  }

  get redisUrl(): string {
    return this.server.url;
  }

  get recipe(): Recipe {
    return this.options.recipe;
  }

  /** Directory of the run, where the part finds and leaves its files. */
  get directory(): string {
    return join(this.home, this.runId);
  }

  /** The result of `look`, as soon as there is one; null when it does not in time, or the part has ended. */
  async until<T>(
    look: () => Promise<T | null | false>,
    withinMs = this.options.timeoutMs,
  ): Promise<Exclude<T, false> | null> {
    const startedAt = performance.now();
    for (;;) {
      const hasEnded = this.part.ended !== null;
      const found = await look();
      if (found !== null && found !== false) return found as Exclude<T, false>;
      if (hasEnded || performance.now() - startedAt > withinMs) return null;
      await sleep(LOOK_MS);
    }
  }

  /** The fault of a thing that did not come in time. */
  absent(what: string, found: string): string {
    const within = `within ${this.options.timeoutMs / 1000} s`;
    return `expected ${what} ${within}, found ${found}${this.part.ended === null ? '' : `; ${this.part.ended}`}`;
  }

  /** The part as it registered, once it is alive and ready; null when it does not in time. */
  registered(): Promise<Replica | null> {
    const { role } = this.options;
    return this.until(async () => (await this.registry.list(role)).find(({ isReady }) => isReady) ?? null);
  }

  /** The fault of a part that does not register, or not in time. */
  async registrationFault(): Promise<string | null> {
    const what = `a heartbeat of a ready replica in replicas:${this.options.role}`;
    return (await this.registered()) === null ? this.absent(what, 'none') : null;
  }

  /** The fault of how the part ends when it is asked to. */
  async drainFault(): Promise<string | null> {
    const { role, recipe } = this.options;
    const withinMs = recipe.limits.drainSeconds * 1000;
    const end = await this.part.stop('SIGTERM', withinMs);
    if (end === null) await this.part.stop('SIGKILL', withinMs);
    const left = (await this.registry.list(role)).map(({ replica }) => replica);
    return firstFault(
      () => difference(`exit code within ${withinMs / 1000} s of SIGTERM`, 0, end),
      () => difference(`replicas:${role} after it`, [], left),
    );
  }

  /** Telemetry of a kind that was told so far. */
  async events<K extends TelemetryEvent['kind']>(kind: K): Promise<Extract<TelemetryEvent, { kind: K }>[]> {
    const found: Extract<TelemetryEvent, { kind: K }>[] = [];
    for (let seen = '0'; ;) {
      const entries = await this.runState.readTelemetry(seen, 0);
      for (const { event } of entries)
        if (event?.kind === kind) found.push(event as Extract<TelemetryEvent, { kind: K }>);
      const last = entries.at(-1);
      if (last === undefined) return found;
      seen = last.id;
    }
  }

  /** A policy of ours with the model of the run. */
  ownPolicy(): Promise<ActorMesh<Policy>> {
    const { model, algorithm, sampling, seed, trainer } = this.recipe;
    const scoring = { maxBatchTokens: trainer.microBatchTokens, logitsChunk: trainer.logitsChunk };
    return thisProc().spawn('reader', Policy, {
      worker: { model, threads: 1, scoring },
      sampling: { ...sampling, n: algorithm.groupSize },
      seed,
    });
  }

  /** Ends the part where it is ours, and leaves nothing of the run. */
  async close(): Promise<void> {
    this.part.killGroup();
    await removeRun(this.redis, this.runId);
    this.runState.close();
    this.redis.disconnect();
    await this.server.stop();
    await rm(this.home, { recursive: true, force: true });
  }
}
