import { batched, connectService, thisProc } from '@forge/actors';
import { openRolloutQueue } from '@forge/broker';
import { needsGateway } from '@forge/config';
import type { ScoreItem } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { loadAgent, loadAlgorithm, loadRollout } from '@forge/recipe-parts';
import {
  AgentSessions,
  Policy,
  type PolicyTexts,
  ReferenceModel,
  Reward,
  type ScoreResult,
} from '@forge/rl-actors';
import { queueLimits, replicaDirectory, type ServiceContext, type ServiceInstance } from '@forge/service-kit';
import { ActivityClock, activeTraceparent, logIds, outsideTraces } from '@forge/telemetry';
import { drainJobs } from './handlers/drain-jobs';
import { hostWeights } from './handlers/host-weights';
import { giveUpJob } from './handlers/job-failures';
import { RolloutAttempt } from './handlers/rollout-attempt';
import { RolloutJobs } from './handlers/rollout-jobs';
import { WeightsFollower } from './handlers/weights-follower';
import { policyConfig } from './policy-config';
import { gatewayAddress } from './sessions/gateway-address';
import type { StartedAgent } from './sessions/run-agent';
import { sessionRollout } from './sessions/session-rollout';
import { SessionTable } from './sessions/session-table';

const CALL_BATCH = 512;
/** Activities; the first counts while several go on. `rollout`: the algorithm's rollout code, an environment say. */
const ACTIVITIES = [
  'busy',
  'waits/reward',
  'waits/reference',
  'waits/replay-buffer',
  'waits/weights',
  'waits/rollout',
];

/** Rolls out groups and answers evaluations with the newest weights. */
export async function start(context: ServiceContext): Promise<ServiceInstance> {
  const { recipe, runState, registry, replica, logger, traces, fail } = context;
  const policy = await thisProc().spawn('policy', Policy, policyConfig(recipe, replica));
  const activity = new ActivityClock(ACTIVITIES);
  const local = await hostWeights(context);
  const weights = new WeightsFollower({
    versions: runState.weights,
    user: `policy/${replica}`,
    apply: (announcement) => local.weights.use(announcement, (there) => policy.applyWeights.callOne(there)),
    ...(recipe.batch.stragglers === 'drop' && { onTaken: () => void dropStale().catch(fail) }),
    logger,
  });
  const dropStale = async (): Promise<void> =>
    jobs.dropStale((await runState.controls.steering()).maxStaleness);
  const following = weights.follow().catch(fail);

  const limits = { timeoutMs: recipe.limits.callTimeoutMs, maxConcurrent: recipe.policy.jobConcurrency };
  const rewards = connectService('reward', Reward, replicaDirectory(registry, 'reward'), limits);
  const reference = connectService(
    'reference',
    ReferenceModel,
    replicaDirectory(registry, 'reference'),
    limits,
  );
  // One call scores for many rollouts; only the first item of each names its rollout.
  const score = batched<ScoreItem, ScoreResult>(
    (items) => outsideTraces(() => rewards.score.choose(items.map(withoutRepetition))),
    { maxBatch: CALL_BATCH },
  );
  const algorithm = await loadAlgorithm(recipe);
  const table = new SessionTable();
  const agent = loadAgent(recipe);
  const agents = agent && {
    run: (started: StartedAgent) => agent.run(started),
    baseUrl: (signal: AbortSignal) => gatewayAddress(registry, signal),
  };
  const byAgents = { directory: runState.sessions, table, replica, recipe, ...(agents && { agents }) };
  const jobs = new RolloutJobs({
    runState,
    recipe,
    algorithm: {
      needsReference: algorithm.needsReference,
      rollout: (await loadRollout(recipe, algorithm)) ?? sessionRollout(byAgents),
    },
    replica,
    reward: {
      score: async (sample, completion) => {
        const item = { sample, completion, traceparent: activeTraceparent() ?? null };
        const result = await activity.during('waits/reward', () => score(item));
        if ('error' in result) throw ForgeError.fromWire(result.error);
        return result.score;
      },
    },
    reference: (sequences) => activity.during('waits/reference', () => reference.judge.choose(sequences)),
    generate: ({ prompt, sampling, rolloutIds }, signal) => {
      const traceparent = activeTraceparent() ?? null;
      return activity.during('busy', () =>
        outsideTraces(() =>
          policy.generate.with({ signal }).callOne(prompt, sampling, rolloutIds, traceparent),
        ),
      );
    },
    // Another thread than the one that generates does this, so it is no part of what that is busy with.
    chat: {
      renderChat: (request) => policy.renderChat.callOne(request),
      bridgeChat: (request) => policy.bridgeChat.callOne(request),
      parseAnswer: (request) => policy.parseAnswer.callOne(request),
    },
    mismatch: (episode) => activity.during('busy', () => policy.mismatch.callOne(episode)),
    tokenTexts: (tokenIds, positions) =>
      activity.during('busy', () => policy.tokenTexts.callOne(tokenIds, positions)),
    weightsAtLeast: (version) => activity.during('waits/weights', () => weights.atLeast(version)),
    version: () => weights.inUse,
    activity,
  });
  const slowMs = recipe.tracing.slowSeconds * 1000;
  const queue = await openRolloutQueue(context.redisUrl, context.runId, undefined, queueLimits(recipe));
  let quietUntil = 0;
  queue.work({
    name: replica,
    concurrency: recipe.policy.jobConcurrency,
    handler: (job, delivery) => {
      const isTraced = job.kind === 'rollout' && traces.isOn;
      const attempt = isTraced ? new RolloutAttempt(job, delivery, traces, slowMs) : undefined;
      return activity.during('waits/rollout', () => jobs.handle(job, attempt));
    },
    onFailed: async (failure) => {
      const { jobId, job, index, queuedAtMs, code, message, attempts, reason } = failure;
      const origin = job?.kind === 'rollout' ? job.trace : undefined;
      const trace = index === null ? undefined : traces.kept(index, origin, queuedAtMs ?? Date.now());
      // Invalid jobs get one line a second, however many there are.
      if (reason === undefined)
        logger.error({ jobId, code, reason: message, attempts, ...logIds(trace) }, 'job failed for good');
      await giveUpJob(runState, failure, trace);
    },
    onRefused: (why) => runState.rejections.count('rollout', why),
    onError: (error) => {
      if (performance.now() < quietUntil) return;
      quietUntil = performance.now() + 1_000;
      logger.warn({ err: error }, 'job queue');
    },
  });

  const texts: PolicyTexts = {
    renderChat: (request) => policy.renderChat.callOne(request),
    tokenTexts: (tokenIds, positions) => policy.tokenTexts.callOne(tokenIds, positions),
  };
  const isForAgents = needsGateway(recipe);
  return {
    ready: () => weights.hasWeights,
    actor: isForAgents ? await thisProc().spawn('sessions', AgentSessions, table, texts) : policy,
    calls: [rewards, reference],
    totals: async () => {
      const { tokens } = await policy.stats.callOne();
      return { tokens, ...activity.totals(), weightsRefused: weights.refused };
    },
    drain: async () => {
      await drainJobs({
        close: () => queue.close(),
        handBack: () => jobs.handBack(),
        // Without a coordinator, leaving or gone, rewards and weights do not come any more either.
        isAlone: async () => (await registry.list('coordinator')).length === 0,
        // A session waits for its agent, for whom another replica is there at once.
        withinMs: isForAgents ? 0 : recipe.limits.drainSeconds * 500,
      });
      weights.stop();
      await following;
      await local.close();
      await policy.stop({ drainMs: 0 });
      await Promise.all([rewards.shutdown(), reference.shutdown()]);
    },
  };
}

/** The item, without its trace context where the item before has the same. */
function withoutRepetition(item: ScoreItem, i: number, items: readonly ScoreItem[]): ScoreItem {
  if ((item.traceparent ?? null) !== (items[i - 1]?.traceparent ?? null)) return item;
  const { sample, completion } = item;
  return { sample, completion };
}
