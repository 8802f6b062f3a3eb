import type { ActorMesh } from '@forge/actors';
import {
  encode,
  newestVersion,
  oldestVersion,
  SCHEMA_VERSION,
  versionsOf,
  type Episode,
  type Group,
  type WeightsAnnouncement,
} from '@forge/contracts';
import { episode, promptText } from '@forge/rl';
import type { Policy } from '@forge/rl-actors';
import type { ScratchRun } from './scratch-run';

const REPLICA = 'conformance';
const BLOCK_MS = 5_000;

/** Plays coordinator, policy and replay buffer for a trainer: forms batches of what a policy of ours generates. */
export class Batches {
  private generatesWith = -1;

  constructor(
    private readonly run: ScratchRun,
    private readonly policy: ActorMesh<Policy>,
  ) {}

  /** Forms the batch of the version that was announced; the indices of its groups. */
  async form(announcement: WeightsAnnouncement): Promise<number[]> {
    const { runState, recipe } = this.run;
    const { version } = announcement;
    if (this.generatesWith !== version) await this.policy.applyWeights.callOne(announcement);
    this.generatesWith = version;
    const admissions = await runState.admit(recipe.batch.groups * recipe.batch.oversample, 1);
    const indices = admissions.map(({ index }) => index);
    for (const index of indices) await this.buffer(index);
    const advantages = Array.from({ length: recipe.algorithm.groupSize }, (_, i) => (i % 2 === 0 ? 1 : -1));
    const groups = indices.map((index) => ({ index, advantages }));
    const statistics = { 'reward/mean': 0.5 };
    await runState.formBatch({ schemaVersion: SCHEMA_VERSION.batch, version, groups, statistics }, []);
    return indices;
  }

  /** Lets the tokens of a group be of an older version than its batch may have. */
  async makeStale(index: number): Promise<void> {
    const { redis, runState } = this.run;
    const group = await this.group(index);
    const aged = group.episodes.map((one) => ({ ...one, versions: one.versions.map((v) => Math.min(v, 0)) }));
    await redis.hset(runState.keys.payloads, String(index), encode({ ...group, episodes: aged }));
  }

  /** Gives a group the tokens again that the policy has generated for it. */
  async restore(index: number): Promise<void> {
    const { redis, runState } = this.run;
    await redis.hset(runState.keys.payloads, String(index), encode(await this.group(index)));
  }

  private async buffer(index: number): Promise<void> {
    const { runState } = this.run;
    const group = await this.group(index);
    const [oldest, newest] = [oldestVersion(group.episodes), newestVersion(group.episodes)];
    await runState.publishGroup(index, encode(group), { replica: REPLICA, oldest, newest });
    const [entry] = await runState.readGroups(REPLICA, 1, BLOCK_MS);
    await runState.storeGroup(entry!.entryId, { index, version: oldest }, entry!.payload);
  }

  private async group(index: number): Promise<Group> {
    const { runId, task } = this.run;
    const sample = task.sample(index);
    const ids = Array.from({ length: this.run.recipe.algorithm.groupSize }, (_, i) => `${index}-${i}`);
    const completions = await this.policy.generate.callOne(sample.prompt, {}, ids);
    const episodes: Episode[] = completions.map((completion, i) =>
      episode(completion, { reward: (i + 1) % 2, rewards: { exact: (i + 1) % 2 } }),
    );
    const hashes = Object.assign({}, ...completions.map(({ weightHashes }) => weightHashes)) as Record<
      string,
      string
    >;
    return {
      schemaVersion: SCHEMA_VERSION.group,
      runId,
      index,
      sampleId: sample.id,
      promptText: promptText(sample.prompt),
      episodes,
      replica: REPLICA,
      weightHashes: Object.fromEntries(
        versionsOf(episodes).flatMap((version) => (hashes[version] ? [[version, hashes[version]]] : [])),
      ),
    };
  }
}
