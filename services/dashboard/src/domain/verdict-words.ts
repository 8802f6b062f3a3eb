import type { Bottleneck, Verdict } from '../api';

/** A verdict for people: the name of the bottleneck where there is one, and a sentence whose commands stand apart. */
export interface VerdictWords {
  name: string | null;
  sentence: readonly (string | { command: string })[];
}

/** The verdict on the run `id` in words. */
export function verdictWords(id: string, verdict: Verdict): VerdictWords {
  switch (verdict.bound) {
    case 'paused':
      return plain('Admission is paused: no group starts until it is unpaused.');
    case 'starting':
      return plain(
        `No step is done yet.${verdict.waitingFor === null ? '' : ` It waits for ${verdict.waitingFor}.`}`,
      );
    case 'over':
      return overWords(id, verdict);
    default:
      if (verdict.waitingFor === null) return bottleneckWords(id, verdict);
      return plain(`The run has been silent for too long: it waits for ${verdict.waitingFor}.`);
  }
}

function overWords(
  id: string,
  { state, step, steps, atEnd }: Extract<Verdict, { bound: 'over' }>,
): VerdictWords {
  const over = `The run is over (${state}) after ${step} of ${steps} steps.`;
  if (atEnd === null) return plain(over);
  const { name, sentence } = bottleneckWords(id, atEnd);
  return { name: null, sentence: [`${over} At its end it was ${name}: `, ...sentence] };
}

function bottleneckWords(id: string, found: Bottleneck): VerdictWords {
  const add = (what: string, service: string, replicas: number | null): VerdictWords['sentence'] =>
    replicas === null
      ? [`add ${what === 'policy' ? 'policies' : 'replicas'}`]
      : [`add a ${what} (now ${replicas}): `, { command: `forge scale ${id} ${service}=${replicas + 1}` }];
  switch (found.bound) {
    case 'trainer':
      return { name: 'trainer-bound', sentence: [trainerSentence(found)] };
    case 'policy': {
      const lacking = `the trainer lacks batches ${percent(found.trainerLacking)} of the time while `;
      if (found.work === 'generating')
        return {
          name: 'policy-bound',
          sentence: [
            `${lacking}policies generate ${percent(found.share)} of theirs; `,
            ...add('policy', 'policy', found.replicas),
            '.',
          ],
        };
      const why = `rollouts spend ${percent(found.share)} in the code of the algorithm, its environment or agents`;
      return {
        name: 'policy-bound',
        sentence: [
          `${lacking}${why}; make that quicker, let more run at a time (policy.jobConcurrency), or start more agents where they are elsewhere.`,
        ],
      };
    }
    case 'reward':
    case 'reference': {
      const what = found.bound === 'reward' ? 'rewards' : 'the reference model';
      const busy = found.busy === null ? '' : ` (busy ${percent(found.busy)})`;
      const lacking = `the trainer lacks batches ${percent(found.trainerLacking)} of the time`;
      const waiting = `policies wait ${percent(found.policiesWaiting)} of theirs for ${what}${busy}`;
      return {
        name: `${found.bound}-bound`,
        sentence: [
          `${lacking}, and ${waiting}; `,
          ...add('replica', found.bound, found.replicas),
          ', or make it quicker.',
        ],
      };
    }
    case 'staleness':
      return { name: 'staleness-bound', sentence: stalenessSentence(id, found) };
    case 'balanced':
      return { name: 'balanced', sentence: [balancedSentence(found)] };
  }
}

function trainerSentence(found: Extract<Bottleneck, { bound: 'trainer' }>): string {
  const { trainerBusy, policies, policiesStill, replicas } = found;
  const still =
    policies === 'full'
      ? `wait ${percent(policiesStill)} of theirs for the replay buffer to take groups`
      : `have nothing to do ${percent(policiesStill)} of theirs`;
  const count = replicas ?? 1;
  const spare = count > 1 ? `, or do with fewer policies (now ${count})` : '';
  return `the trainer is busy ${percent(trainerBusy)} of the time, and policies ${still}; make a step cheaper (fewer groups in a batch, more threads, a GPU)${spare}.`;
}

function stalenessSentence(
  id: string,
  { policiesStill, trainerLacking, maxStaleness }: Extract<Bottleneck, { bound: 'staleness' }>,
): VerdictWords['sentence'] {
  const still = `policies have nothing to do ${percent(policiesStill)} of the time and the trainer ${percent(trainerLacking)}, turn by turn`;
  if (maxStaleness === null) return [`${still}; raise maxStaleness so that both work at once.`];
  const command = `forge set ${id} maxStaleness=${maxStaleness + 1}`;
  return [`${still}; raise maxStaleness (now ${maxStaleness}) so that both work at once: `, { command }, '.'];
}

/** Words for a run where both are busy, or neither is and nothing says why. */
function balancedSentence(found: Extract<Bottleneck, { bound: 'balanced' }>): string {
  const { trainerBusy, policyBusy, trainerLacking, policiesStill } = found;
  if (trainerBusy >= trainerLacking && policyBusy >= policiesStill)
    return `the trainer is busy ${percent(trainerBusy)} of the time, policies generate ${percent(policyBusy)} of theirs.`;
  return `nothing stands out; the trainer lacks batches ${percent(trainerLacking)} of the time, policies have nothing to do ${percent(policiesStill)}; limits.queuedGroups or limits.heldGroups may be low.`;
}

function plain(sentence: string): VerdictWords {
  return { name: null, sentence: [sentence] };
}

const percent = (share: number): string => `${Math.round(100 * share)} %`;
