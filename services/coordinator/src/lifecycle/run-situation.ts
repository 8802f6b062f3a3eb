import type { StepWork } from '../step-work';
import type { Ledger, Registry, RolloutQueue, RunPhase, RunState } from '@forge/broker';

/** Where a run stands, as far as it tells what it waits for. */
export interface RunSituation {
  phase: RunPhase;
  /** Admission is paused on a user's request. */
  isPaused: boolean;
  version: number;
  /** The step whose batch is formed next. */
  nextBatch: number;
  ledger: Ledger;
  candidatesPerBatch: number;
  /** Rollout and evaluation jobs by state. */
  jobs: { waiting: number; active: number; delayed: number };
  /** Admitted groups that are held back until the version they start from is evaluated. */
  held: number;
  /** Services the run needs. */
  services: readonly string[];
  /** How many of their replicas are alive and ready. */
  ready: Readonly<Record<string, number>>;
  isModelSaved: boolean;
  /** The work of the step under way that is reported while it goes on. */
  work: { generatedTokens: number; microBatches: { done: number; of: number } | null };
}

/** The parts of Redis that say where a run stands. */
export interface SituationSources {
  runState: Pick<RunState, 'phase' | 'version' | 'nextBatch' | 'ledger'> & {
    controls: Pick<RunState['controls'], 'steering'>;
  };
  queue: Pick<RolloutQueue, 'counts'>;
  registry: Pick<Registry, 'list'>;
}

/** The situation of a run now; `known`: what the coordinator knows without Redis. */
export async function readSituation(
  { runState, queue, registry }: SituationSources,
  known: Pick<RunSituation, 'candidatesPerBatch' | 'held' | 'services' | 'isModelSaved'> & {
    reported: StepWork;
  },
): Promise<RunSituation> {
  const { reported, ...rest } = known;
  const { services } = rest;
  const [{ phase }, { isPaused }, version, nextBatch, ledger, counts, ...replicas] = await Promise.all([
    runState.phase(),
    runState.controls.steering(),
    runState.version(),
    runState.nextBatch(),
    runState.ledger(),
    queue.counts(),
    ...services.map((service) => registry.list(service)),
  ]);
  const { waiting = 0, prioritized = 0, active = 0, delayed = 0 } = counts;
  const ready = Object.fromEntries(
    services.map((service, i) => [service, replicas[i]!.filter(({ isReady }) => isReady).length]),
  );
  const jobs = { waiting: waiting + prioritized, active, delayed };
  const work = {
    generatedTokens: reported.totalTokens,
    microBatches: reported.microBatchesOf(version + 1),
  };
  return { ...rest, phase, isPaused, version, nextBatch, ledger, jobs, ready, work };
}
