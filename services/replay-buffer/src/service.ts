import { ActivityClock } from '@forge/telemetry';
import { candidatesPerBatch, refillPerBatch } from '@forge/config';
import { loadAlgorithm } from '@forge/recipe-parts';
import type { ServiceContext, ServiceInstance } from '@forge/service-kit';
import { BatchFormer } from './handlers/batch-former';
import { GroupIntake } from './handlers/group-intake';

const BLOCK_MS = 1000;

/** Groups in, batches out: one loop follows the groups stream, the other the commits of the trainer. */
export async function start(context: ServiceContext): Promise<ServiceInstance> {
  const { recipe, runState, replica, logger, traces, fail } = context;
  const rules = {
    groups: recipe.batch.groups,
    candidatesPerBatch: candidatesPerBatch(recipe),
    refill: refillPerBatch(recipe),
    stragglers: recipe.batch.stragglers,
  };
  const algorithm = await loadAlgorithm(recipe);
  const batches = new BatchFormer(runState, rules, algorithm, logger);
  await batches.restore();
  const activity = new ActivityClock(['busy', 'waits/trainer', 'waits/groups']);
  activity.begin('waits/groups');
  const intake = new GroupIntake({
    ...{ runState, algorithm, batches, traces, activity },
    truncated: recipe.rollout.truncated,
    consumer: replica,
  });

  const stopping = new AbortController();
  const followGroups = async () => {
    while (!stopping.signal.aborted) await intake.turn(BLOCK_MS);
  };
  const followCommits = async () => {
    let seen = '0';
    while (!stopping.signal.aborted) {
      await activity.during('busy', () => batches.form());
      const waits = batches.isAhead ? 'waits/trainer' : 'waits/groups';
      seen = await activity.during(waits, () => runState.waitForSignal(seen, BLOCK_MS));
    }
  };
  const loops = Promise.all([followGroups(), followCommits()]).catch(fail);

  return {
    ready: () => true,
    totals: () => activity.totals(),
    drain: async () => {
      stopping.abort();
      await loops;
    },
  };
}
