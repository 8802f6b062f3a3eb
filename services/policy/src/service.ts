import { batched, connectService, thisProc } from '@forge/actors';
import { RolloutQueue } from '@forge/broker';
import { ForgeError } from '@forge/errors';
import {
  loadAlgorithm,
  Policy,
  ReferenceModel,
  Reward,
  type ScoreItem,
  type ScoreResult,
} from '@forge/rl-actors';
import { queueLimits, replicaDirectory, type ServiceContext, type ServiceInstance } from '@forge/service-kit';
import { giveUpJob } from './handlers/job-failures';
import { RolloutJobs } from './handlers/rollout-jobs';
import { WeightsFollower } from './handlers/weights-follower';
import { policyConfig } from './policy-config';

const CALL_BATCH = 512;

/** Rolls out groups and answers evaluations with the newest weights. */
export async function start(context: ServiceContext): Promise<ServiceInstance> {
  const { recipe, runState, registry, replica, logger, fail } = context;
  const policy = await thisProc().spawn('policy', Policy, policyConfig(recipe));
  const weights = new WeightsFollower({
    versions: runState.weights,
    user: `policy/${replica}`,
    apply: (announcement) => policy.updateWeights.callOne(announcement),
    logger,
  });
  const following = weights.follow().catch(fail);

  const limits = { timeoutMs: recipe.limits.callTimeoutMs, maxConcurrent: recipe.policy.jobConcurrency };
  const rewards = connectService('reward', Reward, replicaDirectory(registry, 'reward'), limits);
  const reference = connectService(
    'reference',
    ReferenceModel,
    replicaDirectory(registry, 'reference'),
    limits,
  );
  const score = batched<ScoreItem, ScoreResult>((items) => rewards.score.choose(items), {
    maxBatch: CALL_BATCH,
  });
  const jobs = new RolloutJobs({
    runState,
    recipe,
    algorithm: await loadAlgorithm(recipe),
    replica,
    reward: {
      score: async (sample, completion) => {
        const result = await score({ sample, completion });
        if ('error' in result) throw ForgeError.fromWire(result.error);
        return result.score;
      },
    },
    reference: (sequences) => reference.logprobs.choose(sequences),
    generate: ({ prompt, sampling, rolloutIds }) => policy.generate.callOne(prompt, sampling, rolloutIds),
    mismatch: (episode) => policy.mismatch.callOne(episode),
    weightsAtLeast: (version) => weights.atLeast(version),
  });
  const queue = new RolloutQueue(context.redisUrl, context.runId, undefined, queueLimits(recipe));
  queue.work({
    name: replica,
    concurrency: recipe.policy.jobConcurrency,
    handler: (job) => jobs.handle(job),
    onFailed: async (failure) => {
      const { jobId, code, message, attempts } = failure;
      logger.error({ jobId, code, reason: message, attempts }, 'job failed for good');
      await giveUpJob(runState, failure);
    },
    onError: (error) => logger.warn({ err: error }, 'job queue'),
  });

  return {
    ready: () => weights.hasWeights,
    actor: policy,
    calls: [rewards, reference],
    totals: async () => {
      const { tokens, busyMs } = await policy.stats.callOne();
      return { tokens, busyMs, weightsRefused: weights.refused };
    },
    drain: async () => {
      weights.stop();
      const closed = queue.close();
      jobs.handBack();
      await closed;
      await following;
      await policy.stop({ drainMs: 0 });
      await Promise.all([rewards.shutdown(), reference.shutdown()]);
    },
  };
}
