import { setTimeout as sleep } from 'node:timers/promises';
import type { RunState } from '@forge/broker';
import { candidatesPerBatch, type Recipe } from '@forge/config';
import { encode, oldestVersion, type Completion, type Episode, type Group, type RolloutJob, type Sample, type Sampling } from '@forge/contracts';
import type { Algorithm, PolicyHandle, RewardHandle } from '@forge/rl';

export interface RolloutWorkerOptions {
  runState: Pick<RunState, 'runId' | 'publishGroup' | 'emit' | 'phase'>;
  recipe: Recipe;
  algorithm: Algorithm;
  replica: string;
  reward: RewardHandle;
  /** Log-probs under the reference model. */
  reference: (tokenIds: readonly number[]) => Promise<number[]>;
  generate: (request: { prompt: Sample['prompt']; rolloutIds: string[]; sampling: Sampling }) => Promise<Completion[]>;
  weightsAtLeast: (version: number) => Promise<void>;
}

type Kind<K extends RolloutJob['kind']> = Extract<RolloutJob, { kind: K }>;

const FULL_PAUSE_MS = 100;

/** Does rollout and evaluation jobs. */
export class RolloutWorker {
  constructor(private readonly options: RolloutWorkerOptions) {}

  async handle(job: RolloutJob): Promise<void> {
    await this.options.weightsAtLeast(job.minVersion);
    await (job.kind === 'rollout' ? this.rollOut(job) : this.evaluate(job));
  }

  private async rollOut({ index, sample }: Kind<'rollout'>): Promise<void> {
    const { algorithm, recipe, reward, runState, replica } = this.options;
    const { groupSize } = recipe.algorithm;
    const policy = this.policyHandle(String(index), recipe.sampling);
    const episodes = await algorithm.rollout({ sample, policy, reward, groupSize });
    const group: Group = {
      schemaVersion: 1,
      runId: runState.runId,
      index,
      sampleId: sample.id,
      promptText: promptText(sample),
      episodes: algorithm.needsReference ? await Promise.all(episodes.map((one) => this.withReference(one))) : episodes,
      replica,
    };
    await this.publish(group);
    if (index % candidatesPerBatch(recipe) < recipe.output.sampleRollouts) await this.show(group);
  }

  private async evaluate({ samples, minVersion, part, parts }: Kind<'evaluation'>): Promise<void> {
    const { recipe, reward, runState } = this.options;
    const greedy = { ...recipe.sampling, temperature: 0, topK: 0, topP: 1 };
    const isCorrect = await Promise.all(
      samples.map(async (sample, i) => {
        const [completion] = await this.policyHandle(`evaluation-${part}-${i}`, greedy).generate(sample.prompt);
        const { rewards } = await reward.score(sample, completion!);
        return (rewards[recipe.evaluation.reward] ?? 0) >= 1;
      }),
    );
    const correct = isCorrect.filter(Boolean).length;
    await runState.emit({ kind: 'evaluation', version: minVersion, part, parts, correct, total: samples.length });
  }

  /** The policy as a rollout sees it; ids number its calls, so that a rollout that runs again draws the same. */
  private policyHandle(id: string, sampling: Sampling): PolicyHandle {
    let calls = 0;
    return {
      generate: (prompt, { n = 1, ...overrides } = {}) => {
        const call = calls++;
        const rolloutIds = Array.from({ length: n }, (_, k) => `${id}-${call}-${k}`);
        return this.options.generate({ prompt, rolloutIds, sampling: { ...sampling, ...overrides } });
      },
    };
  }

  private async withReference(episode: Episode): Promise<Episode> {
    const logprobs = await this.options.reference(episode.tokenIds);
    return { ...episode, referenceLogprobs: logprobs.map((logprob, t) => (episode.mask[t] === 1 ? logprob : 0)) };
  }

  /** A full stream makes the job wait; a group that is published already changes nothing. */
  private async publish(group: Group): Promise<void> {
    const { runState } = this.options;
    const payload = encode(group);
    while ((await runState.publishGroup(group.index, payload)) === 'full') {
      if ((await runState.phase()).phase !== 'running') return;
      await sleep(FULL_PAUSE_MS);
    }
  }

  private async show({ index, promptText: prompt, episodes }: Group): Promise<void> {
    await this.options.runState.emit({
      kind: 'rollout',
      index,
      version: oldestVersion(episodes),
      prompt,
      texts: episodes.map(({ text }) => text),
      rewards: episodes.map(({ reward }) => reward),
    });
  }
}

function promptText({ prompt }: Sample): string {
  return typeof prompt === 'string' ? prompt : prompt.map(({ role, content }) => `${role}: ${content}`).join('\n');
}
