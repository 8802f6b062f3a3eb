/** A chart: the metrics drawn in it. */
export interface CurveGroup {
  title: string;
  keys: readonly string[];
  /** Shares that add up to one. */
  isStacked?: boolean;
}

export interface CurveSection {
  title: string;
  groups: readonly CurveGroup[];
}

interface GroupRule {
  title: string;
  /** Names of the metrics it draws; `prefix*` for all that begin so. */
  keys: readonly string[];
}

const group = (title: string, ...keys: string[]): GroupRule => ({ title, keys });

/** Curves that belong together, in the order people look at them. */
const RULES: readonly { title: string; groups: readonly GroupRule[] }[] = [
  {
    title: 'Learning',
    groups: [
      group('Accuracy', 'eval/accuracy'),
      group('Reward', 'reward/mean', 'reward/*'),
      group('Loss', 'loss'),
      group('KL divergence', 'kl/behaviour', 'kl/reference'),
      group('Entropy', 'entropy'),
      group('Gradient norm', 'gradient_norm'),
      group('Parts of the loss', 'loss/*'),
      group('Learning rate', 'learning_rate'),
      group('Length of completions', 'completion/length_mean'),
      group('Rollouts cut off', 'rollout/truncated/*'),
    ],
  },
  {
    title: 'Staleness and what it does',
    groups: [
      group('Lag', 'lag/mean', 'lag/max'),
      group('Log-prob mismatch', 'logprob_mismatch'),
      group('Effective sample size', 'ratio/effective_sample_size'),
      group('Clipped tokens', 'ratio/clip_fraction'),
      group('Informative and discarded groups', 'groups/informative_share', 'groups/discarded_share'),
    ],
  },
  {
    title: 'Throughput',
    groups: [
      group('Tokens per second', 'tokens/generated_per_second', 'tokens/trained_per_second'),
      group('Time of a step', 'time/step_ms', 'time/train_ms', 'time/wait_ms'),
      group('Tokens in a batch', 'tokens/trained'),
      group('Tokens of prompts', 'tokens/prefilled', 'tokens/reused'),
      group(
        'What waits',
        'queue/rollouts/depth',
        'queue/groups/depth',
        'queue/buffer/depth',
        'queue/batches/depth',
      ),
      group('For how long it waits', 'queue/rollouts/age_s', 'queue/groups/age_s', 'queue/batches/age_s'),
      group('New weights on their way', 'weights/publish_ms', 'weights/fetch_ms', 'weights/apply_ms'),
      group('Conversations', 'conversation/*'),
      group('Recovery after a death', 'recovery/*'),
      group('Memory', 'memory/*'),
      group('Refused reads of weights', 'weights/refused'),
      group('Refused messages', 'messages_rejected/*'),
    ],
  },
  { title: 'Yours', groups: [group('', 'user/*')] },
];

/** Metrics without a curve: shown in other ways, or counting nothing worth a curve. */
const ELSEWHERE = [
  'step',
  'time/elapsed_s',
  'lag/share/*',
  'eval/version',
  'rollback/to',
  'groups/discarded',
  'reward/std',
];

const SERVICES = ['trainer', 'policy', 'gateway', 'reward', 'reference', 'replay-buffer', 'coordinator'];

/** The charts for the metrics there are; metrics without a chart listed here come last, each in its own. */
export function curveSections(keys: Iterable<string>): CurveSection[] {
  const left = new Set([...keys].filter((key) => !ELSEWHERE.some((rule) => matches(rule, key))));
  // A metric is in one chart only.
  const taken = (wanted: string): string[] =>
    [...left].filter((key) => matches(wanted, key) && left.delete(key)).sort();
  const groupsOf = (rule: GroupRule): CurveGroup[] => {
    const found = rule.keys.flatMap(taken);
    if (found.length === 0) return [];
    if (rule.title === '')
      return found.map((key) => ({ title: key.slice(key.indexOf('/') + 1), keys: [key] }));
    return [{ title: rule.title, keys: found }];
  };
  const shares = SERVICES.flatMap((service) => sharesOf(service, left));
  const sections = RULES.map(({ title, groups }) => ({ title, groups: groups.flatMap(groupsOf) }));
  sections.splice(3, 0, { title: 'What services are busy with', groups: shares });
  sections.push({ title: 'Others', groups: [...left].sort().map((key) => ({ title: key, keys: [key] })) });
  return sections.filter(({ groups }) => groups.length > 0);
}

function sharesOf(service: string, left: Set<string>): CurveGroup[] {
  const keys = [
    `busy/${service}`,
    ...[...left].filter((key) => key.startsWith(`waits/${service}/`)).sort(),
    `idle/${service}`,
  ];
  const there = keys.filter((key) => left.delete(key));
  return there.length === 0 ? [] : [{ title: service, keys: there, isStacked: true }];
}

const matches = (rule: string, key: string): boolean =>
  rule.endsWith('*') ? key.startsWith(rule.slice(0, -1)) : key === rule;

const SHARE = /^(busy|idle|waits)\/[^/]+\/?(.*)$/;

/** How a metric is called among those of its chart. */
export function curveName(
  key: string,
  { keys, isStacked = false }: Pick<CurveGroup, 'keys' | 'isStacked'>,
): string {
  if (isStacked)
    return key.replace(SHARE, (_, kind: string, what: string) =>
      kind === 'waits' ? `waits for ${what}` : kind,
    );
  const parts = key.split('/');
  const isShared = keys.length > 1 && keys.every((other) => other.startsWith(`${parts[0]}/`));
  const name = isShared ? parts.slice(1).join('/') : key;
  return keys.length > 1
    ? name.replace(/\/(depth|age_s)$|_(ms|s|bytes)$|_per_second$/, '').replaceAll('_', ' ')
    : name;
}
