import { setTimeout as sleep } from 'node:timers/promises';
import type { RunState } from '@forge/broker';
import { AGENT_REWARD, candidatesPerBatch, hasOwnRollout, type Recipe } from '@forge/config';
import {
  encode,
  MAX_MESSAGE_BYTES,
  invalidMessage,
  newestVersion,
  oldestVersion,
  rolloutsOf,
  SCHEMA_VERSION,
  versionsOf,
  type Completion,
  type Episode,
  type Group,
  type RolloutJob,
  type Sample,
  type Sampling,
  type TelemetryEvent,
  type WeightHashes,
  type Prompt,
} from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import {
  isUnjudged,
  policyHandle,
  promptText,
  wholeRollouts,
  withReference,
  type Algorithm,
  type ChatPolicy,
  type NumberedCall,
  type ReferenceScore,
  type RewardHandle,
  type RolloutRecord,
} from '@forge/rl';
import { endRollout, recordSystemMetric, Reduce, timed, type ActivityClock } from '@forge/telemetry';
import { shownConversations } from '../domain/shown-conversations';
import { shownTokens, type TokenTexts } from '../domain/shown-tokens';
import type { GroupContext, GroupRollout } from '../sessions/group-rollout';
import { JobsUnderWay, type JobUnderWay } from './jobs-under-way';
import type { RolloutAttempt } from './rollout-attempt';

export interface RolloutJobsOptions {
  runState: Pick<
    RunState,
    'runId' | 'beginGroup' | 'publishGroup' | 'dropStale' | 'emit' | 'phase' | 'standing'
  > & {
    deadLetters: Pick<RunState['deadLetters'], 'keep'>;
  };
  recipe: Recipe;
  algorithm: Pick<Algorithm, 'needsReference'> & { rollout: GroupRollout };
  replica: string;
  reward: RewardHandle;
  /** Scores of the sequences of a group by the reference model. */
  reference: (sequences: readonly ArrayLike<number>[]) => Promise<ReferenceScore[]>;
  generate: (request: GenerateCall, signal: AbortSignal) => Promise<Completion[]>;
  /** Messages to token ids and back. */
  chat: Pick<ChatPolicy, 'renderChat' | 'bridgeChat' | 'parseAnswer'>;
  /** Distance of the recorded log-probs from the training graph's; null when it can't be told any more. */
  mismatch: (episode: Episode) => Promise<number | null>;
  /** The text that each of the tokens at these positions adds. */
  tokenTexts: TokenTexts;
  /** Resolves once weights of that version or a newer one are in use. */
  weightsAtLeast: (version: number) => Promise<void>;
  /** Version of the weights in use. */
  version: () => number;
  activity: Pick<ActivityClock, 'during'>;
}

export interface GenerateCall {
  prompt: Prompt;
  /** One per wanted completion; with the seed of the run they decide what is drawn. */
  rolloutIds: string[];
  sampling: Sampling;
}

/** The part of an attempt that the jobs use. */
type Attempt = Pick<
  RolloutAttempt,
  'run' | 'phase' | 'generating' | 'hasWeights' | 'origin' | 'sending' | 'published'
>;

const UNTRACED: Attempt = {
  run: (work) => work(),
  phase: (_name, work) => work(),
  generating: (work) => work(),
  hasWeights: () => undefined,
  origin: () => undefined,
  sending: () => undefined,
  published: () => undefined,
};

/** The work of a rollout as it is noted. */
interface Watch {
  /** Gets those of the weights that take part. */
  hashes?: WeightHashes;
  attempt?: Attempt;
  /** Told before tokens are drawn, or taken that were drawn before, the version that the oldest can be of. */
  begin?: (oldest: number) => Promise<void>;
}

type Answer = 'correct' | 'wrong' | 'failed' | 'unjudged';
type Kind<K extends RolloutJob['kind']> = Extract<RolloutJob, { kind: K }>;

const RECORD: RolloutRecord = {
  count: (metric) => recordSystemMetric(metric, 1, Reduce.SUM),
  time: timed,
};
const FULL_PAUSE_MS = 100;
/** Groups of a batch's candidates of which one completion is compared with the training graph. */
const CHECKED_PER_BATCH = 4;

/** Does rollout and evaluation jobs. */
export class RolloutJobs {
  private readonly underWay = new JobsUnderWay();

  constructor(private readonly options: RolloutJobsOptions) {}

  /**
   * Does a job; one that is too old before it is done is given up.
   *
   * @throws {ForgeError} CANCELLED once `handBack` was called: another replica takes the job, or the resumed run, and no
   *   attempt is counted.
   */
  handle(job: RolloutJob, attempt: Attempt = UNTRACED): Promise<void> {
    return attempt.run(async () => {
      try {
        await this.underWay.do((one) => this.work(job, attempt, one));
      } catch (error) {
        const failure = ForgeError.from(error);
        if (job.kind !== 'rollout' || !failure.is('STALE_EPISODE')) throw handedBack(failure);
        await this.drop(job.index, attempt);
      }
    });
  }

  /** Gives the jobs under way back to the queue. */
  handBack(): void {
    this.underWay.end(new ForgeError('CANCELLED', `policy ${this.options.replica} is draining`));
  }

  /** Gives up the groups that are too old for the bound before they are done: others are admitted in their place. */
  dropStale(maxStaleness: number): void {
    this.underWay.endStale(this.options.version(), maxStaleness);
  }

  /** Notes a group with its first tokens, so that batches can wait for it. */
  private async begin(index: number, one: JobUnderWay, oldest: number): Promise<void> {
    if (one.oldest !== null) return;
    one.oldest = oldest;
    await this.options.runState.beginGroup(index, oldest);
  }

  private async drop(index: number, attempt: Attempt): Promise<void> {
    if (!(await this.options.runState.dropStale(index))) return;
    recordSystemMetric('groups/dropped', 1, Reduce.SUM);
    endRollout(attempt.origin(), { 'forge.rollout.index': index, 'forge.rollout.end': 'stale' });
  }

  private async work(job: RolloutJob, attempt: Attempt, one: JobUnderWay): Promise<void> {
    const standing = await this.options.runState.standing(job);
    if (standing === 'unknown') {
      const what = job.kind === 'rollout' ? `group ${job.index} at` : '';
      throw invalidMessage('job', 'unknown', `there is no ${what} version ${job.minVersion}`);
    }
    // The job's last host died between publishing the group and saying so, or the job was added twice.
    if (standing === 'done') return;
    await this.options.weightsAtLeast(job.minVersion);
    attempt.hasWeights();
    await (job.kind === 'rollout' ? this.rollOut(job, attempt, one) : this.evaluate(job, one.signal));
  }

  private async rollOut(
    { index, sample }: Kind<'rollout'>,
    attempt: Attempt,
    one: JobUnderWay,
  ): Promise<void> {
    const { algorithm, recipe, reward, runState, replica } = this.options;
    const { groupSize } = recipe.algorithm;
    const hashes: WeightHashes = {};
    const policies = this.policies(String(index), recipe.sampling, one.signal, {
      ...{ hashes, attempt },
      begin: (oldest) => this.begin(index, one, oldest),
    });
    const traced: RewardHandle = { score: (...item) => attempt.phase('score', () => reward.score(...item)) };
    const seed = `${recipe.seed}/${index}`;
    const place = { group: String(index), isEvaluation: false, sample, groupSize };
    const context = { ...place, ...policies, reward: traced, seed, signal: one.signal, record: RECORD };
    const episodes = await algorithm.rollout(context);
    checkRollouts(index, episodes, groupSize);
    const isChecked = index % Math.ceil(candidatesPerBatch(recipe) / CHECKED_PER_BATCH) === 0;
    const mismatch = isChecked ? await this.mismatch(rolloutsOf(episodes)[0]!) : null;
    const trace = attempt.origin();
    const group: Group = {
      schemaVersion: SCHEMA_VERSION.group,
      runId: runState.runId,
      index,
      sampleId: sample.id,
      promptText: promptText(sample.prompt),
      episodes: algorithm.needsReference ? await this.withReference(episodes, attempt) : episodes,
      replica,
      weightHashes: Object.fromEntries(
        versionsOf(episodes).flatMap((version) => (hashes[version] ? [[version, hashes[version]]] : [])),
      ),
      ...(mismatch !== null && { logprobMismatch: mismatch }),
      ...(trace && { trace }),
    };
    const isShown = index % candidatesPerBatch(recipe) < recipe.output.sampleRollouts;
    const sampleEvent = isShown ? await this.sampleEvent(group) : undefined;
    await attempt.phase('publish', () => this.publish(group, attempt, sampleEvent));
  }

  /** A sample that fails does not keep the others from being counted. */
  private async evaluate(
    { samples, minVersion, part, parts }: Kind<'evaluation'>,
    signal: AbortSignal,
  ): Promise<void> {
    const answers = await Promise.all(
      samples.map((sample, i) => this.answers(sample, { minVersion, part, i }, signal)),
    );
    const count = (what: Answer): number => answers.filter((answer) => answer === what).length;
    const unjudged = count('unjudged');
    const failed = count('failed') + unjudged;
    await this.options.runState.emit({
      kind: 'evaluation',
      version: minVersion,
      part,
      parts,
      correct: count('correct'),
      total: samples.length,
      ...(failed > 0 && { failed }),
      ...(unjudged > 0 && { unjudged }),
    });
  }

  private async answers(
    sample: Sample,
    { minVersion, part, i }: { minVersion: number; part: number; i: number },
    signal: AbortSignal,
  ): Promise<Answer> {
    const { recipe, runState } = this.options;
    const id = `evaluation-${part}-${i}`;
    const place = { group: `v${minVersion}-${part}-${i}`, isEvaluation: true, sample, groupSize: 1 };
    const greedy = { ...recipe.sampling, temperature: 0, topK: 0, topP: 1 };
    for (let attempt = 1; ; attempt++) {
      try {
        const rewards = await this.rewardsOf({ ...place, ...this.policies(id, greedy, signal), signal });
        return (rewards[recipe.evaluation.reward] ?? rewards[AGENT_REWARD] ?? 0) >= 1 ? 'correct' : 'wrong';
      } catch (error) {
        const { code, message, retryClass, details } = ForgeError.from(error);
        // An error of the reward names the sample; any other transient one is the job's, which comes again.
        const isJobs = retryClass === 'transient' && details['sampleId'] !== sample.id;
        if (code === 'CANCELLED' || isJobs || retryClass === 'stale') throw error;
        if (retryClass !== 'fatal' && attempt < recipe.limits.jobAttempts) continue;
        const failure = { code, message, attempts: attempt, payload: JSON.stringify(sample) };
        await runState.deadLetters.keep(`e-${sample.id}`, 'evaluation', failure);
        return isUnjudged(code) ? 'unjudged' : 'failed';
      }
    }
  }

  /** Rewards of one answer, or of one rollout where the recipe has its own. */
  private async rewardsOf(context: Omit<GroupContext, 'reward'>): Promise<Record<string, number>> {
    const { algorithm, recipe, reward } = this.options;
    const { sample, policy } = context;
    if (!hasOwnRollout(recipe)) {
      const [completion] = await policy.generate(sample.prompt);
      return (await reward.score(sample, completion!)).rewards;
    }
    const episodes = await algorithm.rollout({ ...context, reward });
    return episodes.at(-1)?.rewards ?? {};
  }

  /** The policy as one rollout sees it, and as agents do. */
  private policies(
    id: string,
    defaults: Sampling,
    signal: AbortSignal,
    { hashes = {}, attempt = UNTRACED, begin }: Watch = {},
  ): Pick<GroupContext, 'policy' | 'conversations'> {
    const generate = async ({ sampling, drawn, ...call }: NumberedCall): Promise<Completion[]> => {
      const request = { ...call, sampling: { ...defaults, ...sampling } };
      await begin?.(drawn === undefined ? this.options.version() : oldestVersion(drawn));
      const made = drawn ?? (await attempt.generating(() => this.options.generate(request, signal)));
      for (const { weightHashes } of made) Object.assign(hashes, weightHashes);
      return made;
    };
    const { maxTokens } = defaults;
    const setting = {
      ...this.options.chat,
      maxTokens,
      clock: () => performance.now(),
      count: RECORD.count,
      generate,
    };
    return {
      policy: policyHandle({ ...setting, id }),
      conversations: (rollout, drawn) =>
        policyHandle({ ...setting, id: `${id}-s${rollout}`, drawn }).conversation,
    };
  }

  /** The largest distance from the training graph of the parts of a rollout; null when none can be told. */
  private async mismatch(parts: readonly Episode[]): Promise<number | null> {
    const found = await Promise.all(parts.map((part) => this.options.mismatch(part)));
    const told = found.filter((one) => one !== null);
    return told.length > 0 ? Math.max(...told) : null;
  }

  private async withReference(episodes: readonly Episode[], attempt: Attempt): Promise<Episode[]> {
    const sequences = episodes.map(({ tokenIds }) => tokenIds);
    const scores = await attempt.phase('reference', () => this.options.reference(sequences));
    return withReference(episodes, scores);
  }

  /** Publishes the group: a full stream makes the job wait, a group published already changes nothing. */
  private async publish(group: Group, attempt: Attempt, event?: TelemetryEvent): Promise<void> {
    const { runState } = this.options;
    const { index, replica, episodes } = group;
    const payload = encode(group);
    if (payload.length > MAX_MESSAGE_BYTES) throw tooLarge(index, payload.length);
    const origin = { replica, oldest: oldestVersion(episodes), newest: newestVersion(episodes) };
    for (;;) {
      attempt.sending();
      const result = await runState.publishGroup(index, payload, origin, event);
      attempt.published(result);
      if (result !== 'full') return;
      attempt.sending(false);
      // The job is not done: a completed one would not be queued again when the run is resumed.
      if ((await runState.phase()).phase !== 'running')
        throw new ForgeError('CANCELLED', `the run stops before there is room for group ${index}`, { index });
      await this.options.activity.during('waits/replay-buffer', () => sleep(FULL_PAUSE_MS));
    }
  }

  private async sampleEvent({ index, promptText: prompt, episodes }: Group): Promise<TelemetryEvent> {
    const rollouts = wholeRollouts(episodes);
    const hasTurns = rollouts.some(({ conversation }) => conversation !== undefined);
    return {
      kind: 'rollout',
      index,
      version: oldestVersion(episodes),
      prompt,
      texts: rollouts.map(({ text }) => text),
      rewards: rollouts.map(({ reward }) => reward),
      rewardsByFunction: rollouts.map(({ rewards }) => rewards),
      tokens: await shownTokens(rollouts, this.options.tokenTexts),
      ...(hasTurns && {
        conversations: shownConversations(rollouts),
        ends: rollouts.map(({ end }) => end ?? null),
      }),
    };
  }
}

/** A job that waited in vain for a server that generates is not at fault: it goes back, and no attempt is counted. */
function handedBack(failure: ForgeError): ForgeError {
  if (!failure.is('TRANSIENT_GENERATOR_UNREACHABLE')) return failure;
  return new ForgeError('CANCELLED', failure.message, {}, { cause: failure });
}

/** @throws {ForgeError} CONTRACT_INVALID_MESSAGE when there are more numbered rollouts than the group is to have. */
function checkRollouts(index: number, episodes: readonly Episode[], groupSize: number): void {
  const rollouts = rolloutsOf(episodes).length;
  if (episodes[0]?.rollout === undefined || rollouts <= groupSize) return;
  const found = `found ${rollouts} rollouts, expected at most algorithm.groupSize, which is ${groupSize}`;
  throw invalidMessage(`group ${index}`, 'wrong-shape', found, { index });
}

function tooLarge(index: number, sizeBytes: number): ForgeError {
  return new ForgeError(
    'CAPACITY_FRAME_TOO_LARGE',
    `group ${index} takes ${sizeBytes} bytes, a message at most ${MAX_MESSAGE_BYTES}; lower algorithm.groupSize or sampling.maxTokens`,
    { index, sizeBytes, limitBytes: MAX_MESSAGE_BYTES },
  );
}
