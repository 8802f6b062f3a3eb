import type { DeadLetters, Ledger, Registry, RunPhase, RunState } from '@forge/broker';
import { SERVICES, type ServiceName, type StepProgress } from '@forge/contracts';

/** A replica, also one that has not been heard of for `silentMs`. */
export type SeenReplica = Awaited<ReturnType<Registry['all']>>[number];

/** Standing of a run at a moment, by its state in Redis. */
export interface LiveRun {
  version: number;
  phase: RunPhase;
  isPaused: boolean;
  maxStaleness: number;
  steps: number;
  waitingFor: string | null;
  progress: StepProgress | null;
  ledger: Ledger;
  deadLetters: Awaited<ReturnType<DeadLetters['counts']>>;
  /** Addresses at which agents call the policy, without `/v1`; empty: no gateway is ready. */
  agentsAt: readonly string[];
  /** Replicas of every service, in a stable order. */
  replicas: Readonly<Record<ServiceName, readonly SeenReplica[]>>;
}

/** @throws {ForgeError} CONFLICT_STATE when the state of the run is gone. */
export async function readLiveRun(runState: RunState, registry: Registry): Promise<LiveRun> {
  const [version, { phase }, steering, waitingFor, progress, ledger, deadLetters, agentsAt, ...replicas] =
    await Promise.all([
      runState.version(),
      runState.phase(),
      runState.controls.steering(),
      runState.waitingFor(),
      runState.progress(),
      runState.ledger(),
      runState.deadLetters.counts(),
      registry.gatewayAddresses(),
      ...SERVICES.map((service) => registry.all(service)),
    ]);
  const { isPaused, maxStaleness, steps } = steering;
  const byService = SERVICES.map((service, i) => [service, replicas[i]!]);
  return {
    ...{ version, phase, isPaused, maxStaleness, steps, waitingFor, progress, ledger, deadLetters, agentsAt },
    replicas: Object.fromEntries(byService) as LiveRun['replicas'],
  };
}
