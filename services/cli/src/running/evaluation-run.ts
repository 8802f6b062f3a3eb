import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { makeSocketDirectory } from '@forge/actors';
import {
  connectRedis,
  openRolloutQueue,
  provisionRedis,
  removeRun,
  RunState,
  type KeptLetter,
} from '@forge/broker';
import { childEnvironment, cliEnvironment, storedRecipe, type Recipe } from '@forge/config';
import { evaluationJobs, runPaths, type Sample } from '@forge/contracts';
import { ForgeError, type ErrorCode } from '@forge/errors';
import type { LoadedModel } from '@forge/model';
import { isUnjudged } from '@forge/rl';
import { newRunId } from '@forge/runs';
import { queueLimits } from '@forge/service-kit';
import { WeightStore } from '@forge/weights';
import type { FailedSample, GreedyAccuracy } from '../sft/accuracy';
import { advance, emptyProgress } from '../shown/progress';
import { settingsOf } from './create-run';
import { Supervisor } from './supervisor';

const SERVICES = ['policy', 'reward', 'gateway'] as const;
const VERSION = 0;
const BLOCK_MS = 500;
const STOP_DEADLINE_MS = 10_000;

const say = (message: string): void => {
  process.stderr.write(`forge: ${message}\n`);
};

/**
 * Greedy accuracy of a model by the rollout of a recipe, found as a run finds it: by policy, reward and gateway services of
 * their own, which work on the jobs of one evaluation. Nothing is trained, and nothing stays.
 *
 * @throws {ForgeError} CANCELLED after Ctrl-C; what the first sample threw, when not one could be answered and judged;
 *   TRANSIENT_REPLICA_LOST or CONFIG_INVALID when a service ends for good.
 */
export async function accuracyOfRollouts(
  recipe: Recipe,
  model: LoadedModel,
  samples: readonly Sample[],
): Promise<GreedyAccuracy> {
  const id = newRunId('eval', new Date(), randomBytes(2).toString('hex'));
  const home = resolve('.forge', 'eval', id);
  const socketDirectory = await makeSocketDirectory('forge-eval-');
  const { redisUrl, logLevel } = cliEnvironment();
  const { restartsPerMinute, redisWaitSeconds } = recipe.limits;
  const redisServer = await provisionRedis({
    ...{ url: redisUrl, dir: join(home, 'redis'), log: say, mayInstall: true, restartsPerMinute },
  });
  const { url } = redisServer;
  const redis = await connectRedis(url, { name: 'forge-eval', giveUpAfterMs: redisWaitSeconds * 1000 });
  const runState = new RunState(redis, id);
  const ended = new AbortController();
  const interrupt = (): void => ended.abort(new ForgeError('CANCELLED', 'the evaluation was ended'));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const logs = runPaths(join(home, id)).logs;
  await mkdir(logs, { recursive: true });
  const supervisor = new Supervisor({
    logDirectory: logs,
    socketDirectory,
    environment: childEnvironment({ redisUrl: url, runId: id, logLevel, redisWaitSeconds }),
    restartsPerMinute,
    drainMs: STOP_DEADLINE_MS,
    onTrialEnd: () => undefined,
    onRestart: ({ service, replica }, reason) =>
      say(`${service}/${replica} ended (${reason}); starting it again`),
    onFailure: ({ service, replica }, reason, isHopeless) => {
      const message = `${service}/${replica} ended (${reason})`;
      ended.abort(new ForgeError(isHopeless ? 'CONFIG_INVALID' : 'TRANSIENT_REPLICA_LOST', message));
    },
  });
  try {
    const asked = forEvaluation(recipe, model, home);
    await runState.create(storedRecipe(asked), settingsOf(asked));
    await announce(runState, asked, model, runPaths(join(home, id)).weights);
    for (const service of SERVICES)
      for (let replica = 0; replica < asked[service].replicas; replica++)
        supervisor.start({ service, replica: String(replica) });
    const queue = await openRolloutQueue(url, id, undefined, queueLimits(asked));
    const jobs = evaluationJobs(VERSION, samples);
    await queue.add(jobs).finally(() => queue.close());
    const accuracy = await accuracyFound(runState, ended.signal);
    return { accuracy, failed: failedSamples(await runState.deadLetters.list(), jobs) };
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await supervisor.stop(STOP_DEADLINE_MS);
    await removeRun(redis, id);
    runState.close();
    redis.disconnect();
    await redisServer.stop();
    await rm(home, { recursive: true, force: true });
    await rm(socketDirectory, { recursive: true, force: true });
  }
}

/** The recipe of a run that only evaluates: what trains is left out, and a port of its own does not meet that of a run. */
function forEvaluation(recipe: Recipe, { dir }: LoadedModel, home: string): Recipe {
  const evaluated = {
    ...recipe,
    model: dir,
    gateway: { ...recipe.gateway },
    reference: { ...recipe.reference, replicas: 0 },
    output: { ...recipe.output, dir: home, sinks: [], record: false },
  };
  delete evaluated.adapter;
  delete evaluated.gateway.port;
  return evaluated;
}

/** Tells the policies of the weights of the model, as a trainer would before its first step. */
async function announce(
  runState: RunState,
  { trainer }: Recipe,
  { parameters }: LoadedModel,
  dir: string,
): Promise<void> {
  const store = new WeightStore({ dir, keep: 2, format: { dtype: trainer.publishDtype } });
  await runState.weights.announce(await store.publish(VERSION, await runState.newEpoch(), parameters));
}

async function accuracyFound(runState: RunState, ended: AbortSignal): Promise<number> {
  let [progress, seen] = [emptyProgress(), '0'];
  for (;;) {
    ended.throwIfAborted();
    for (const { id, event } of await runState.readTelemetry(seen, BLOCK_MS)) {
      seen = id;
      if (event?.kind === 'evaluation') progress = advance(progress, event, null);
    }
    const [found] = progress.evaluations;
    if (found !== undefined) return found.accuracy;
  }
}

/** The samples that dead letters are about; that of a job is about all its samples. */
function failedSamples(
  letters: readonly KeptLetter[],
  jobs: ReturnType<typeof evaluationJobs>,
): FailedSample[] {
  const samples = jobs.flatMap((job) => job.samples);
  const failed = letters.flatMap(({ id, code, message }): FailedSample[] => {
    const job = jobs.find(({ part }) => id === `e-v${VERSION}-${part}`);
    const about = job?.samples ?? samples.filter((sample) => id === `e-${sample.id}`);
    const isUnjudgedOne = job !== undefined || isUnjudged(code as ErrorCode);
    return about.map((sample) => ({
      ...{ id: sample.id, code: code as ErrorCode, message },
      ...(isUnjudgedOne && { isUnjudged: true as const }),
    }));
  });
  const [first] = failed;
  if (first !== undefined && failed.length === samples.length)
    throw new ForgeError(first.code, first.message);
  return failed;
}
