/** Author of a metric: the part that computes it. */
export type MetricEmitter =
  'trainer' | 'policy' | 'replay-buffer' | 'coordinator' | 'every service' | 'user code';

export interface MetricDefinition {
  /** Key in `metrics.jsonl`; a name in angle brackets, e.g. `<function>`, stands for one key each. */
  name: string;
  unit: string;
  formula: string;
  emitter: MetricEmitter;
  /** Condition for the key to be present. */
  when:
    | 'every step'
    | 'after an evaluation'
    | 'with a reference model'
    | 'with a clipped loss'
    | 'with such an algorithm'
    | 'when the step is rolled back'
    | 'when recorded'
    | 'when the run tunes itself'
    | 'where there are any'
    | 'after such a one';
}

const metric = (
  name: string,
  unit: string,
  emitter: MetricEmitter,
  formula: string,
  when: MetricDefinition['when'] = 'every step',
): MetricDefinition => ({ name, unit, formula, emitter, when });

/**
 * Every metric the system records: nothing else may appear in `metrics.jsonl`, which has one object per optimizer
 * step. `docs/metrics.md` mirrors this list; a test keeps the two equal.
 *
 * Batch means over tokens count the tokens the policy chose (mask 1) in trained episodes. "Candidates" are all groups
 * the batch was chosen from, those not selected included.
 */
export const METRICS = [
  metric(
    'step',
    'steps',
    'trainer',
    'optimizer steps applied so far, this one included; the version the step produced',
  ),
  metric('loss', '', 'trainer', 'loss of the algorithm over the whole batch, before the update'),
  metric(
    'loss/<metric>',
    '',
    'trainer',
    'a metric of the algorithm that has no name of its own here',
    'with such an algorithm',
  ),
  metric('reward/mean', '', 'replay-buffer', 'mean weighted reward of the rollouts of all candidates'),
  metric('reward/std', '', 'replay-buffer', 'standard deviation of the same rewards, of the population'),
  metric(
    'reward/<function>',
    '',
    'replay-buffer',
    'mean raw value of one reward function over the same rollouts',
  ),
  metric(
    'groups/informative_share',
    'share',
    'replay-buffer',
    'candidates with some advantage other than 0 / candidates, those that were replaced included',
  ),
  metric(
    'groups/refilled',
    'groups',
    'replay-buffer',
    'candidates of this batch that others were rolled out in place of (`batch.refill`)',
  ),
  metric('groups/discarded', 'groups', 'replay-buffer', 'groups evicted as too old since the previous batch'),
  metric(
    'groups/dropped',
    'groups',
    'policy',
    'groups given up as too old before they were done since the row before (`batch.stragglers`), over all replicas',
    'when recorded',
  ),
  metric(
    'groups/discarded_share',
    'share',
    'replay-buffer',
    'those / (those + all candidates of this batch)',
  ),
  metric(
    'completion/length_mean',
    'tokens',
    'replay-buffer',
    'mean tokens the policy chose per rollout of the candidates',
  ),
  metric(
    'rollout/truncated/<reason>',
    'share',
    'replay-buffer',
    'rollouts that were cut off for one reason (turns, tokens, context, time) / rollouts of the candidates',
    'where there are any',
  ),
  metric(
    'lag/mean',
    'versions',
    'trainer',
    'mean over trained tokens of (version before the step - version of the token)',
  ),
  metric('lag/max', 'versions', 'trainer', 'largest such lag; never above maxStaleness'),
  metric(
    'lag/share/<lag>',
    'share',
    'trainer',
    'trained tokens of that lag / all trained tokens: the histogram of the lag; `16+` has all from 16 on',
    'where there are any',
  ),
  metric(
    'tuning/pace',
    'versions',
    'coordinator',
    'versions that admission ran ahead of the trainer at most in this step',
    'when the run tunes itself',
  ),
  metric(
    'tuning/groups_in_flight',
    'groups',
    'coordinator',
    'groups in flight at most',
    'when the run tunes itself',
  ),
  metric(
    'tuning/objective',
    'tokens/s',
    'coordinator',
    'tokens/trained by the seconds since the step before, times exp(-lag/mean / 8): what tuning seeks to raise',
    'when the run tunes itself',
  ),
  metric('entropy', 'nats', 'trainer', 'mean entropy of the policy at trained tokens, before the update'),
  metric(
    'kl/behaviour',
    'nats',
    'trainer',
    'k3 estimate of KL(behaviour || policy): mean of r - ln r - 1, r = policy / behaviour',
  ),
  metric(
    'kl/reference',
    'nats',
    'trainer',
    'k3 estimate of KL(policy || reference): mean of r - ln r - 1, r = reference / policy',
    'with a reference model',
  ),
  metric(
    'ratio/clip_fraction',
    'share',
    'trainer',
    'trained tokens whose ratio the clipped loss cut',
    'with a clipped loss',
  ),
  metric(
    'ratio/effective_sample_size',
    'share',
    'trainer',
    '(sum of w)^2 / (n * sum of w^2), w = policy / behaviour of a token, n tokens',
  ),
  metric(
    'logprob_mismatch',
    'nats',
    'trainer',
    'largest |training graph - generator| log-prob under the same weights: over all tokens of lag 0, and over one completion of every fourth part of the candidates, checked by the policy that generated it',
  ),
  metric('gradient_norm', '', 'trainer', 'global norm of the gradient before clipping'),
  metric('learning_rate', '', 'trainer', 'learning rate of this step'),
  metric('tokens/trained', 'tokens', 'trainer', 'tokens with a gradient in this batch'),
  metric('tokens/trained_per_second', 'tokens/s', 'trainer', 'tokens/trained / time/step_ms, in seconds'),
  metric(
    'tokens/generated_per_second',
    'tokens/s',
    'coordinator',
    'tokens generated / time over the last report (1 s), summed over the policies',
  ),
  metric(
    'rollback/to',
    'steps',
    'trainer',
    'the earlier version whose weights this one has; nothing was trained, and what the train step computes is missing',
    'when the step is rolled back',
  ),
  metric(
    'weights/refused',
    'reads',
    'coordinator',
    'reads of announced weights by policies that found them corrupt or gone, or not those their canary was made with, since the run started',
  ),
  metric('time/step_ms', 'ms', 'trainer', 'commit of the previous step to commit of this one'),
  metric('time/train_ms', 'ms', 'trainer', 'forward, backward and optimizer'),
  metric('time/wait_ms', 'ms', 'trainer', 'waiting for a batch'),
  metric('time/elapsed_s', 's', 'coordinator', 'since the run started'),
  metric(
    'busy/<service>',
    'share',
    'coordinator',
    'time in which a service did its work / time over its last report (1 s), mean over its replicas: policy generates, reward scores, reference computes, replay-buffer takes groups and forms batches, trainer trains, publishes and saves, coordinator admits',
  ),
  metric(
    'waits/<service>/<what>',
    'share',
    'coordinator',
    'of the same time, that in which it did not, but had work that waits: policy for `reward`, `reference`, `replay-buffer` (its stream is full), `weights` (new enough ones), `rollout` (code of the algorithm); gateway for the `policy`; trainer for a `batch`; replay-buffer for `groups`, or for the `trainer` when two batches are formed',
    'where there are any',
  ),
  metric(
    'idle/<service>',
    'share',
    'coordinator',
    'the rest, in which it had nothing to do; busy, waits and idle of a service add up to 1',
  ),
  metric(
    'queue/<queue>/depth',
    '',
    'coordinator',
    'as of its last report: jobs that wait (`rollouts`), `groups` on their way to it, groups in the `buffer`, `batches` formed and not committed',
  ),
  metric(
    'queue/<queue>/age_s',
    's',
    'coordinator',
    'for how long the job that is next, or the oldest entry of the stream, has been there; not for `buffer`',
  ),
  metric(
    'weights/publish_ms',
    'ms',
    'trainer',
    'writing a version and verifying it; mean over those since the row before',
    'when recorded',
  ),
  metric(
    'weights/transfer_ms',
    'ms',
    'policy',
    'bringing an announced version to a host that does not see the disk of the trainer; mean over hosts and versions since the row before',
    'when recorded',
  ),
  metric(
    'weights/fetch_ms',
    'ms',
    'policy',
    'reading and verifying an announced version; mean over replicas and versions since the row before',
    'when recorded',
  ),
  metric(
    'weights/apply_ms',
    'ms',
    'policy',
    'from there until the next chunk of tokens uses it; mean over the same',
    'when recorded',
  ),
  metric(
    'tokens/prefilled',
    'tokens',
    'policy',
    'tokens of prompts whose keys and values were computed since the row before, over all replicas',
    'when recorded',
  ),
  metric(
    'tokens/reused',
    'tokens',
    'policy',
    'those whose keys and values were kept from an earlier prompt (`policy.prefixCacheMb`), or computed once for several',
    'when recorded',
  ),
  metric(
    'conversation/turns',
    'turns',
    'policy',
    'answers of the policy in conversations since the row before',
    'when recorded',
  ),
  metric(
    'conversation/forks',
    'forks',
    'policy',
    'of these, answers to a prompt that did not continue the tokens before it, so that a new part began',
    'when recorded',
  ),
  metric(
    'conversation/fork_reasons/<reason>',
    'forks',
    'policy',
    'the same by reason: see agents.md',
    'when recorded',
  ),
  metric(
    'conversation/malformed_calls',
    'answers',
    'policy',
    'answers that began a call of a tool which could not be read',
    'when recorded',
  ),
  metric(
    'tools/<tool>/calls',
    'calls',
    'policy',
    'calls of the tool by the model since the row before, over all replicas',
    'when recorded',
  ),
  metric(
    'tools/<tool>/errors',
    'calls',
    'policy',
    'those with invalid arguments, those that failed and those that took too long',
    'when recorded',
  ),
  metric('tools/<tool>/ms', 'ms', 'policy', 'time of a call that succeeded, mean', 'when recorded'),
  metric(
    'tools/unknown_calls',
    'calls',
    'policy',
    'calls of tools that the model was not given since the row before',
    'when recorded',
  ),
  metric(
    'tools/failures',
    'rollouts',
    'policy',
    'failures to set tools up or to put them away since the row before',
    'when recorded',
  ),
  metric(
    'environment/<environment>/step_ms',
    'ms',
    'policy',
    'time of a step that succeeded, mean',
    'when recorded',
  ),
  metric(
    'environment/<environment>/failures',
    'calls',
    'policy',
    'failures of the environment since the row before: set-up, reset, step or close',
    'when recorded',
  ),
  metric(
    'recovery/<service>_s',
    's',
    'every service',
    'from the last heartbeat of a replica that died to the first of its successor that is ready, longest since the row before',
    'when recorded',
  ),
  metric(
    'memory/<service>_bytes',
    'bytes',
    'coordinator',
    'latest resident memory of the largest replica of a service',
  ),
  metric(
    'messages_rejected/<where>/<reason>',
    'messages',
    'coordinator',
    'messages that were refused so far in one place (a stream, `rollout`, `http`, `calls`) for one reason: see messages.md',
    'after such a one',
  ),
  metric(
    'eval/accuracy',
    'share',
    'coordinator',
    "newest evaluation: held-out samples answered correctly by greedy decoding / those that were judged; one that can't be answered is not correct",
    'after an evaluation',
  ),
  metric(
    'eval/unjudged_share',
    'share',
    'coordinator',
    'newest evaluation: held-out samples that were not judged, since the judge or another service was at fault / samples; above one half the accuracy decides nothing',
    'after an evaluation',
  ),
  metric('eval/version', 'steps', 'coordinator', 'policy version that answered', 'after an evaluation'),
  metric(
    'user/<key>',
    '',
    'user code',
    'what `recordMetric(key, ...)` recorded in all processes since the row before, reduced as it says',
    'when recorded',
  ),
] as const satisfies readonly MetricDefinition[];

const patterns = METRICS.map(
  ({ name }) => new RegExp(`^${name.replace('<key>', '.+').replaceAll(/<\w+>/g, '[^/]+')}$`),
);

/** Whether `key` is a metric of `METRICS`. */
export function isMetric(key: string): boolean {
  return patterns.some((pattern) => pattern.test(key));
}
