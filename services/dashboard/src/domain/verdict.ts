import type { Bottleneck, LiveView, MetricsRow, RunListing, Verdict } from '../api';
import { sharesOf, type Shares } from './shares';

/** The facts that a verdict is passed on. */
export interface Evidence {
  run: Pick<RunListing, 'state' | 'step' | 'steps'>;
  /** The newest ones, oldest first. */
  rows: readonly MetricsRow[];
  live: Pick<LiveView, 'isPaused' | 'waitingFor' | 'maxStaleness' | 'wanted'> | null;
}

/** A share of the time that is worth a word. */
const NOTABLE = 0.2;
/** A trainer that lacks batches for less is as good as always busy. */
const SATURATED = 0.15;

/**
 * The part that holds a run back, by the measured shares of the time of its trainer and its policies.
 *
 * The trainer is what a run exists for: when it hardly waits, it is the bottleneck, or nothing is. When it waits for
 * batches, the largest share of the policies' time says why: they generate, they wait for rewards or the reference model,
 * or they have nothing to do because the staleness bound lets nothing start, so that both work turn by turn.
 */
export function verdict({ run: { state, step, steps }, rows, live }: Evidence): Verdict {
  if (state !== 'running') return { bound: 'over', state, step, steps, atEnd: bottleneck(rows, null) };
  if (live?.isPaused) return { bound: 'paused' };
  const waitingFor = live?.waitingFor ?? null;
  const found = bottleneck(rows, live);
  return found === null ? { bound: 'starting', waitingFor } : { ...found, waitingFor };
}

function bottleneck(rows: readonly MetricsRow[], live: Evidence['live']): Bottleneck | null {
  const trainer = sharesOf(rows, 'trainer');
  const policy = sharesOf(rows, 'policy');
  if (trainer === null || policy === null) return null;
  const trainerLacking = trainer.idle + (trainer.waits['batch'] ?? 0);
  const policiesStill = stillShare(policy);
  const balanced: Bottleneck = {
    ...{ bound: 'balanced', trainerBusy: trainer.busy, policyBusy: policy.busy },
    ...{ trainerLacking, policiesStill },
  };
  if (trainerLacking < SATURATED)
    return policiesStill < NOTABLE ? balanced : trainerBound(trainer, policy, live);
  if (policiesStill >= NOTABLE && live?.maxStaleness !== null) {
    const maxStaleness = live?.maxStaleness ?? null;
    return { bound: 'staleness', trainerLacking, policiesStill, maxStaleness };
  }
  const found = largestCause(rows, policy, trainerLacking, live);
  return found.share > policiesStill ? found.bottleneck : balanced;
}

/** The largest share of the policies' time, of all that keep a trainer waiting. */
function largestCause(
  rows: readonly MetricsRow[],
  policy: Shares,
  trainerLacking: number,
  live: Evidence['live'],
): { share: number; bottleneck: Bottleneck } {
  const { reward = 0, reference = 0, rollout = 0 } = policy.waits;
  const slow = (work: 'generating' | 'rollout', share: number) => ({
    share,
    bottleneck: { bound: 'policy' as const, trainerLacking, work, share, replicas: wanted(live, 'policy') },
  });
  const awaited = (service: 'reward' | 'reference', share: number) => ({
    share,
    bottleneck: {
      ...{ bound: service, trainerLacking, policiesWaiting: share },
      ...{ busy: sharesOf(rows, service)?.busy ?? null, replicas: wanted(live, service) },
    },
  });
  const causes = [
    slow('generating', policy.busy),
    awaited('reward', reward),
    awaited('reference', reference),
    slow('rollout', rollout),
  ];
  return causes.reduce((a, b) => (b.share > a.share ? b : a));
}

function trainerBound(trainer: Shares, policy: Shares, live: Evidence['live']): Bottleneck {
  const full = policy.waits['replay-buffer'] ?? 0;
  const isFull = full > policy.idle;
  return {
    ...{ bound: 'trainer', trainerBusy: trainer.busy, policies: isFull ? 'full' : 'idle' },
    ...{ policiesStill: isFull ? full : stillShare(policy), replicas: wanted(live, 'policy') },
  };
}

function wanted(live: Evidence['live'], service: string): number | null {
  return live?.wanted[service] ?? null;
}

/** The share of the time in which policies have nothing to do, or their groups are not taken. */
function stillShare({ idle, waits }: Shares): number {
  return idle + (waits['weights'] ?? 0) + (waits['replay-buffer'] ?? 0);
}
