import type { LiveView, MetricsRow, RunListing, Verdict } from '../api';
import { sharesOf, type Shares } from './shares';

/** What a verdict is passed on. */
export interface Evidence {
  run: Pick<RunListing, 'id' | 'state' | 'step' | 'steps'>;
  /** The newest ones, oldest first. */
  rows: readonly MetricsRow[];
  live: Pick<LiveView, 'isPaused' | 'waitingFor' | 'maxStaleness' | 'wanted'> | null;
}

/** A share of the time that is worth a word. */
const NOTABLE = 0.2;
/** A trainer that lacks batches for less is as good as always busy. */
const SATURATED = 0.15;

/**
 * What holds a run back, by the measured shares of the time of its trainer and its policies.
 *
 * The trainer is what a run exists for: when it hardly waits, it is the bottleneck, or nothing is. When it waits for
 * batches, the largest share of the policies' time says why: they generate, they wait for rewards or the reference model,
 * or they have nothing to do because the staleness bound lets nothing start, so that both work turn by turn.
 */
export function verdict({ run, rows, live }: Evidence): Verdict {
  if (run.state !== 'running') {
    const last = bottleneck(run.id, rows, null);
    const was = last === null ? '' : ` At its end it was ${last.text}`;
    return {
      bound: 'over',
      text: `The run is over (${run.state}) after ${run.step} of ${run.steps} steps.${was}`,
    };
  }
  if (live?.isPaused)
    return { bound: 'paused', text: 'Admission is paused: no group starts until it is unpaused.' };
  const found = bottleneck(run.id, rows, live);
  if (found === null) {
    const why = live?.waitingFor ? ` It waits for ${live.waitingFor}.` : '';
    return { bound: 'starting', text: `No step is done yet.${why}` };
  }
  if (live?.waitingFor)
    return { ...found, text: `Nothing has changed for a while: the run waits for ${live.waitingFor}.` };
  return found;
}

function bottleneck(id: string, rows: readonly MetricsRow[], live: Evidence['live']): Verdict | null {
  const trainer = sharesOf(rows, 'trainer');
  const policy = sharesOf(rows, 'policy');
  if (trainer === null || policy === null) return null;
  const lacking = trainer.idle + (trainer.waits['batch'] ?? 0);
  const starved = starvedShare(policy);
  if (lacking < SATURATED) return trainerBound(trainer, policy, starved, live);

  const maxStaleness = live?.maxStaleness;
  const isBounded = maxStaleness !== null;
  if (starved >= NOTABLE && isBounded) {
    const [now, how] = maxStaleness === undefined ? ['', ''] : [` (now ${maxStaleness})`, `: forge set ${id} maxStaleness=${maxStaleness + 1}`]; // prettier-ignore
    return {
      bound: 'staleness',
      text: `staleness-bound: policies have nothing to do ${percent(starved)} of the time and the trainer ${percent(lacking)}, turn by turn; raise maxStaleness${now} so that both work at once${how}.`,
    };
  }
  const { reward = 0, reference = 0, rollout = 0 } = policy.waits;
  const causes: [number, () => Verdict][] = [
    [policy.busy, () => policyBound(id, lacking, policy.busy, live)],
    [reward, () => serviceBound(id, 'reward', 'rewards', lacking, reward, rows, live)],
    [reference, () => serviceBound(id, 'reference', 'the reference model', lacking, reference, rows, live)],
    [rollout, () => ({ bound: 'policy', text: `policy-bound: the trainer lacks batches ${percent(lacking)} of the time while rollouts spend ${percent(rollout)} in the code of the algorithm or its environment; make that quicker, or let more run at a time (policy.jobConcurrency).` })], // prettier-ignore
  ];
  const [largest, tell] = causes.reduce((a, b) => (b[0] > a[0] ? b : a));
  if (largest > starved) return tell();
  return {
    bound: 'balanced',
    text: `balanced: nothing stands out; the trainer lacks batches ${percent(lacking)} of the time, policies have nothing to do ${percent(starved)}; limits.queuedGroups or limits.heldGroups may be low.`,
  };
}

/** Nothing to do, or nobody who takes what was done. */
function starvedShare({ idle, waits }: Shares): number {
  return idle + (waits['weights'] ?? 0) + (waits['replay-buffer'] ?? 0);
}

function trainerBound(trainer: Shares, policy: Shares, starved: number, live: Evidence['live']): Verdict {
  const busy = `the trainer is busy ${percent(trainer.busy)} of the time`;
  if (starved < NOTABLE) {
    return {
      bound: 'balanced',
      text: `balanced: ${busy}, policies generate ${percent(policy.busy)} of theirs.`,
    };
  }
  const full = policy.waits['replay-buffer'] ?? 0;
  const how =
    full > policy.idle
      ? `wait ${percent(full)} of theirs for the replay buffer to take groups`
      : `have nothing to do ${percent(starved)} of theirs`;
  const count = live?.wanted['policy'] ?? 1;
  const spare = count > 1 ? `, or do with fewer policies (now ${count})` : '';
  return {
    bound: 'trainer',
    text: `trainer-bound: ${busy}, and policies ${how}; make a step cheaper (fewer groups in a batch, more threads, a GPU)${spare}.`,
  };
}

function policyBound(id: string, lacking: number, busy: number, live: Evidence['live']): Verdict {
  const count = live?.wanted['policy'];
  const add = count === undefined ? 'add policies' : `add a policy (now ${count}): forge scale ${id} policy=${count + 1}`; // prettier-ignore
  return {
    bound: 'policy',
    text: `policy-bound: the trainer lacks batches ${percent(lacking)} of the time while policies generate ${percent(busy)} of theirs; ${add}.`,
  };
}

function serviceBound(
  id: string,
  service: 'reward' | 'reference',
  what: string,
  lacking: number,
  waits: number,
  rows: readonly MetricsRow[],
  live: Evidence['live'],
): Verdict {
  const busy = sharesOf(rows, service)?.busy;
  const count = live?.wanted[service];
  const is = busy === undefined ? '' : ` (busy ${percent(busy)})`;
  const add = count === undefined ? 'add replicas' : `add a replica (now ${count}): forge scale ${id} ${service}=${count + 1}`; // prettier-ignore
  return {
    bound: service,
    text: `${service}-bound: the trainer lacks batches ${percent(lacking)} of the time, and policies wait ${percent(waits)} of theirs for ${what}${is}; ${add}, or make it quicker.`,
  };
}

const percent = (share: number): string => `${Math.round(100 * share)} %`;
