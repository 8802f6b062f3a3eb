/** The services of a run, in the order of its pipeline: folders of `services/`, names in the registry and in metrics. */
export const SERVICES = [
  'coordinator',
  'gateway',
  'policy',
  'reward',
  'reference',
  'replay-buffer',
  'trainer',
] as const;

export type ServiceName = (typeof SERVICES)[number];

/** The services of which a run has one copy, and why; of the others it may have any number. */
export const SINGLE_SERVICES: Readonly<Partial<Record<string, string>>> = {
  coordinator: 'the newest coordinator admits alone',
  trainer: 'a run has one optimizer state, which one trainer owns',
  'replay-buffer': 'batches are formed one after the other',
};

export const SCALABLE_SERVICES: readonly ServiceName[] = SERVICES.filter(
  (name) => !(name in SINGLE_SERVICES),
);

/** Flow of data from one service to the next. */
export interface PipelineLink {
  from: ServiceName;
  to: ServiceName;
  carries: 'jobs' | 'calls' | 'groups' | 'batches' | 'weights';
}

/** The way of a rollout from admission to weights, and back to the policy. */
export const PIPELINE: readonly PipelineLink[] = [
  { from: 'coordinator', to: 'policy', carries: 'jobs' },
  { from: 'gateway', to: 'policy', carries: 'calls' },
  { from: 'policy', to: 'reward', carries: 'calls' },
  { from: 'policy', to: 'reference', carries: 'calls' },
  { from: 'policy', to: 'replay-buffer', carries: 'groups' },
  { from: 'replay-buffer', to: 'trainer', carries: 'batches' },
  { from: 'trainer', to: 'policy', carries: 'weights' },
];
