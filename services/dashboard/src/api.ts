/**
 * The answers of the dashboard's server to its page, as JSON. Paths are below `/api`; a request that fails is answered with an
 * `ApiError`.
 *
 * | path | answer |
 * | --- | --- |
 * | GET /runs | `RunListing[]`, newest first |
 * | GET /runs/:id | `RunView` |
 * | GET /runs/:id/metrics?after=STEP | `MetricsRow[]` behind a step, by default from the first on; of more than 2,000 a choice |
 * | GET /runs/:id/metrics?step=STEP | `MetricsRow[]` with that of a step, if there is one |
 * | GET /runs/:id/samples?limit=N | `SampleRollout[]`, newest first |
 * | GET /runs/:id/rollouts/:index | `RolloutView` |
 * | GET /runs/:id/steps/:step | `Span[]` of the trace of a step |
 * | GET /runs/:id/dead-letters | `DeadLetterView[]`, newest first |
 * | GET /runs/:id/controls | `ControlChange[]`, oldest first |
 * | GET /runs/:id/weights | `WeightsVersion[]`, newest first |
 * | GET /runs/:id/events?after=STEP | server-sent events, see `RunEvents` |
 * | POST /runs/:id/pause, /unpause | - |
 * | POST /runs/:id/set | body `{ maxStaleness?: number or null, steps?: number }`; null: no bound |
 * | POST /runs/:id/scale | body `{ service: count }` |
 * | POST /runs/:id/restart | body `{ target: 'policy/0' }` |
 * | POST /runs/:id/rollback | body `{ to: version }` |
 * | POST /runs/:id/dead-letters/:letter/replay, /discard | - |
 *
 * Each POST needs `Authorization: Bearer <token>` and answers 204: it is asked for, and seen in what comes next.
 */
export interface ApiError {
  /** A code of docs/errors.md, or of HTTP. */
  code: string;
  message: string;
}

export type RunStatus = 'running' | 'finished' | 'interrupted' | 'failed';

export interface RunListing {
  id: string;
  recipe: string;
  seed: number;
  state: RunStatus;
  /** Why it is in that state, where something is to be said. */
  message: string | null;
  /** ISO 8601. */
  startedAt: string;
  /** Steps done and wanted. */
  step: number;
  steps: number;
  startAccuracy: number | null;
  accuracy: number | null;
  /** Reason this version of the software can't read the run: all other fields are empty. */
  problem: string | null;
}

export interface RunView {
  run: RunListing;
  /** The resolved recipe. */
  config: unknown;
  /** Null when the run is over, or its Redis does not answer: `liveProblem` says so then. */
  live: LiveView | null;
  liveProblem: string | null;
  pipeline: Pipeline;
  verdict: Verdict;
  /** The newest known: of Redis, or of the summary when the run is over. */
  ledger: Ledger | null;
}

/** A running run at a moment, by Redis. */
export interface LiveView {
  /** Milliseconds since the epoch. */
  atMs: number;
  version: number;
  /** How far the step under way is; null where that is not known, or it is quick. */
  step: StepView | null;
  phase: string;
  /** The thing it waits for once it has been silent for too long. */
  waitingFor: string | null;
  /** Null: no bound. */
  maxStaleness: number | null;
  steps: number;
  isPaused: boolean;
  replicas: ReplicaView[];
  /** Wanted replicas by service that can be scaled. */
  wanted: Record<string, number>;
  deadLetters: number;
}

/** The step under way. */
export interface StepView {
  /** The version it makes. */
  step: number;
  /** Done so far, 0..1. */
  share: number;
  /** `training, 3 of 16 micro-batches, 0:42 of about 1:10`. */
  text: string;
}

export interface ReplicaView {
  service: string;
  replica: string;
  isReady: boolean;
  pid: number;
  /** Address of its own HTTP port. */
  url: string;
  /** Time since its last heartbeat. */
  silentMs: number;
  /** How often it was started again since the run began, for whatever reason. */
  restarts: number;
}

export interface Ledger {
  admitted: number;
  inFlight: number;
  buffered: number;
  leased: number;
  trained: number;
  discarded: Record<string, number>;
  isBalanced: boolean;
}

/** The run as a graph, from the newest row of its metrics. */
export interface Pipeline {
  nodes: PipelineNode[];
  edges: PipelineEdge[];
}

export interface PipelineNode {
  service: string;
  /** Null: the run is over, or not known. */
  replicas: number | null;
  /** Shares of time; with `waits` they add up to one. Null where nothing is known yet. */
  busy: number | null;
  idle: number | null;
  waits: Record<string, number>;
  memoryBytes: number | null;
}

export interface PipelineEdge {
  from: string;
  to: string;
  /** `jobs`, `episodes`, `batches`, `weights`, `calls`. */
  carries: string;
  /** Count of what waits there; null where nothing can. */
  depth: number | null;
  ageSeconds: number | null;
  /** Rate of what it carries; null where it is not measured. */
  ratePerSecond: number | null;
}

/** The part that holds a run back, which `verdictWords` says. All shares are of time, 0..1. */
export type Verdict =
  | { bound: 'starting'; waitingFor: string | null }
  | { bound: 'paused' }
  | { bound: 'over'; state: RunStatus; step: number; steps: number; atEnd: Bottleneck | null }
  /** `waitingFor`: what a run waits for that has been silent for too long. */
  | (Bottleneck & { waitingFor: string | null });

/** The slowest part, with the shares that show it. `replicas`: how many are wanted now; null where that is not known. */
export type Bottleneck =
  | {
      bound: 'trainer';
      trainerBusy: number;
      /** Why policies stand still: their groups are not taken, or they have nothing to do. */
      policies: 'full' | 'idle';
      policiesStill: number;
      replicas: number | null;
    }
  | {
      bound: 'policy';
      trainerLacking: number;
      /** The work that takes the policies' time: the model's, or that of the code of rollouts. */
      work: 'generating' | 'rollout';
      share: number;
      replicas: number | null;
    }
  | {
      bound: 'reward' | 'reference';
      trainerLacking: number;
      policiesWaiting: number;
      /** Share of the service's own time; null where it is not known. */
      busy: number | null;
      replicas: number | null;
    }
  | {
      bound: 'staleness';
      trainerLacking: number;
      policiesStill: number;
      /** Null where it is not known. */
      maxStaleness: number | null;
    }
  | {
      bound: 'balanced';
      trainerBusy: number;
      policyBusy: number;
      trainerLacking: number;
      policiesStill: number;
    };

/** Flat numbers by the names of docs/metrics.md. */
export type MetricsRow = { step: number } & Record<string, number>;

export interface SampleRollout {
  /** Index of the group. */
  index: number;
  /** Version it was generated by; of the oldest token. */
  version: number;
  prompt: string;
  completions: SampleCompletion[];
}

export interface SampleCompletion {
  text: string;
  /** Weighted sum. */
  reward: number;
  /** Rewards by function, before weighting. */
  rewards: Record<string, number>;
  /** The tokens the policy chose, as far as they are kept. */
  tokens: SampleToken[];
  /** The messages of a rollout of several turns, as far as they are kept; empty for others. */
  conversation: SampleMessage[];
  /** Why it was cut off: `turns`, `tokens`, `context` or `time`; null where it came to its end. */
  end: string | null;
}

export interface SampleMessage {
  /** `agent`: what the process of an agent wrote to stderr. */
  role: 'system' | 'user' | 'assistant' | 'tool' | 'agent';
  text: string;
  reasoning?: string | undefined;
  /** Calls of tools; `arguments` is JSON. */
  toolCalls?: { name: string; arguments: string }[] | undefined;
  /** The tool that answers. */
  name?: string | undefined;
  /** Reward of the turn, at the message that ends it. */
  reward?: number | undefined;
  /** Why a new part begins here. */
  fork?: string | undefined;
}

export interface SampleToken {
  text: string;
  logprob: number;
  version: number;
}

export interface RolloutView {
  index: number;
  /** Its record in the ledger; null when it is forgotten or Redis is gone. */
  history: RolloutHistory | null;
  sample: SampleRollout | null;
  /** Spans of its trace, by start; empty when it was not traced. */
  spans: Span[];
}

export interface RolloutHistory {
  state: string;
  reason: string | null;
  job: string;
  replica: string | null;
  /** Versions that generated it, with the hash of their weights. */
  generatedBy: { version: number; weightsHash: string | null }[] | null;
  /** Step whose batch had it as a candidate; the number is that of the version it makes, as in `MetricsRow`. */
  step: number | null;
  lag: number | null;
  produced: { version: number; weightsHash: string | null } | null;
  replayOf: number | null;
}

/** Times in milliseconds since the epoch. */
export interface Span {
  spanId: string;
  parentId: string | null;
  name: string;
  service: string;
  replica: string;
  startMs: number;
  endMs: number;
  attributes: Record<string, unknown>;
  events: { name: string; atMs: number; attributes: Record<string, unknown> }[];
  links: { traceId: string; spanId: string; attributes: Record<string, unknown> }[];
  error: string | null;
}

export interface DeadLetterView {
  id: string;
  atMs: number;
  kind: string;
  index: number | null;
  code: string;
  message: string;
  attempts: number;
  /** Parsed data where it can be parsed, else text. */
  payload: unknown;
  sizeBytes: number;
}

export interface ControlChange {
  version: number;
  seconds: number;
  operation: string;
  name: string;
  from: string;
  to: string;
  /** Why the run changed it by itself. */
  reason?: string | undefined;
}

export interface WeightsVersion {
  version: number;
  sha256: string;
  sizeBytes: number;
  rolledBackTo: number | null;
  usedBy: string[];
}

/**
 * Events of `/runs/:id/events` by name, with their data. A client that comes, or comes back, gets a whole view first. With
 * `?after=STEP` (or the `Last-Event-ID` a browser sends when it comes back: those of `metrics` have their newest step as
 * id) it is also told the rows behind that step, of more than 2,000 a choice. A row of a step that was told before replaces
 * it: a run that is resumed may do steps again.
 */
export interface RunEvents {
  /** All that has changed of the run, once a second at most. */
  view: RunView;
  metrics: readonly MetricsRow[];
  samples: SampleRollout[];
  controls: ControlChange[];
  /** The problem of the source of these events; null: it is over. */
  problem: string | null;
}
