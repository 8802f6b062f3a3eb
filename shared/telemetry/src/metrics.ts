/** Who computes a metric. */
export type MetricEmitter = 'trainer' | 'replay-buffer' | 'coordinator';

export interface MetricDefinition {
  /** Key in `metrics.jsonl`; `<function>`, `<service>` and `<metric>` stand for one key each. */
  name: string;
  unit: string;
  formula: string;
  emitter: MetricEmitter;
  /** When the key is present. */
  when:
    | 'every step'
    | 'after an evaluation'
    | 'with a reference model'
    | 'with a clipped loss'
    | 'with such an algorithm'
    | 'when the step is rolled back';
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
  metric('reward/mean', '', 'replay-buffer', 'mean weighted reward of the episodes of all candidates'),
  metric('reward/std', '', 'replay-buffer', 'standard deviation of the same rewards, of the population'),
  metric(
    'reward/<function>',
    '',
    'replay-buffer',
    'mean raw value of one reward function over the same episodes',
  ),
  metric(
    'groups/informative_share',
    'share',
    'replay-buffer',
    'candidates with some advantage other than 0 / candidates',
  ),
  metric('groups/discarded', 'groups', 'replay-buffer', 'groups evicted as too old since the previous batch'),
  metric(
    'completion/length_mean',
    'tokens',
    'replay-buffer',
    'mean tokens the policy chose per episode of the candidates',
  ),
  metric(
    'lag/mean',
    'versions',
    'trainer',
    'mean over trained tokens of (version before the step - version of the token)',
  ),
  metric('lag/max', 'versions', 'trainer', 'largest such lag; never above maxStaleness'),
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
    'reads of announced weights by policies that found them corrupt or gone, since the run started',
  ),
  metric('time/step_ms', 'ms', 'trainer', 'commit of the previous step to commit of this one'),
  metric('time/train_ms', 'ms', 'trainer', 'forward, backward and optimizer'),
  metric('time/wait_ms', 'ms', 'trainer', 'waiting for a batch'),
  metric('time/elapsed_s', 's', 'coordinator', 'since the run started'),
  metric(
    'busy/<service>',
    'share',
    'coordinator',
    'time computing / time over the last report of a service (1 s), mean over its replicas',
  ),
  metric(
    'memory/<service>_bytes',
    'bytes',
    'coordinator',
    'latest resident memory of the largest replica of a service',
  ),
  metric(
    'eval/accuracy',
    'share',
    'coordinator',
    'newest evaluation: held-out samples answered correctly by greedy decoding / samples; one that was not answered or judged is not correct',
    'after an evaluation',
  ),
  metric('eval/version', 'steps', 'coordinator', 'policy version that answered', 'after an evaluation'),
] as const satisfies readonly MetricDefinition[];

const patterns = METRICS.map(({ name }) => new RegExp(`^${name.replace(/<\w+>/, '[^/]+')}$`));

/** Whether `key` is a metric of `METRICS`. */
export function isMetric(key: string): boolean {
  return patterns.some((pattern) => pattern.test(key));
}
