import type { MetricsRow, Verdict } from '../api';
import { verdict, type Evidence } from './verdict';
import { verdictWords } from './verdict-words';

const run = { state: 'running', step: 5, steps: 50 } as const;
const live = { isPaused: false, waitingFor: null, maxStaleness: 1, wanted: { policy: 2, reward: 1 } };
const row = (shares: Record<string, number>): MetricsRow => ({ step: 5, ...shares });
const of = (shares: Record<string, number>, now: Partial<Evidence['live']> = {}) =>
  verdict({ run, rows: [row(shares)], live: { ...live, ...now } });
/** A verdict as a line of text: commands between backticks. */
const said = (found: Verdict): string => {
  const { name, sentence } = verdictWords('run', found);
  const text = sentence.map((part) => (typeof part === 'string' ? part : `\`${part.command}\``)).join('');
  return name === null ? text : `${name}: ${text}`;
};

/** A trainer that waits, so that what the policies do decides. */
const hungry = { 'busy/trainer': 0.4, 'idle/trainer': 0, 'waits/trainer/batch': 0.6 };
const busy = { 'busy/trainer': 0.95, 'idle/trainer': 0.01, 'waits/trainer/batch': 0.04 };

describe('verdict', () => {
  it('is the trainer when it hardly waits and the policies do', () => {
    const found = of({ ...busy, 'busy/policy': 0.38, 'idle/policy': 0.6, 'waits/policy/weights': 0.02 });
    expect(found).toEqual({
      bound: 'trainer',
      trainerBusy: 0.95,
      policies: 'idle',
      policiesStill: 0.62,
      replicas: 2,
      waitingFor: null,
    });
    expect(said(found)).toBe(
      'trainer-bound: the trainer is busy 95 % of the time, and policies have nothing to do 62 % of theirs; make a step cheaper (fewer groups in a batch, more threads, a GPU), or do with fewer policies (now 2).',
    );
  });

  it('is the trainer when what the policies did is not taken', () => {
    const found = of({ ...busy, 'busy/policy': 0.38, 'idle/policy': 0, 'waits/policy/replay-buffer': 0.62 });
    expect(found).toMatchObject({ bound: 'trainer', policies: 'full', policiesStill: 0.62 });
    expect(said(found)).toContain('policies wait 62 % of theirs for the replay buffer');
  });

  it('is the staleness bound when both have nothing to do, turn by turn', () => {
    const shares = { ...hungry, 'busy/policy': 0.55, 'idle/policy': 0.45 };
    const found = of(shares, { maxStaleness: 0 });
    expect(found).toEqual({
      ...{ bound: 'staleness', trainerLacking: 0.6, policiesStill: 0.45, maxStaleness: 0, waitingFor: null },
    });
    expect(said(found)).toBe(
      'staleness-bound: policies have nothing to do 45 % of the time and the trainer 60 %, turn by turn; raise maxStaleness (now 0) so that both work at once: `forge set run maxStaleness=1`.',
    );
  });

  it('is not the staleness bound where there is none', () => {
    const shares = { ...hungry, 'busy/policy': 0.55, 'idle/policy': 0.45 };
    expect(of(shares, { maxStaleness: null }).bound).toBe('policy');
    const idle = of({ ...hungry, 'busy/policy': 0.2, 'idle/policy': 0.8 }, { maxStaleness: null });
    expect(said(idle)).toBe(
      'balanced: nothing stands out; the trainer lacks batches 60 % of the time, policies have nothing to do 80 %; limits.queuedGroups or limits.heldGroups may be low.',
    );
  });

  it('is the policies when they generate while the trainer waits', () => {
    const found = of({ ...hungry, 'busy/policy': 0.97, 'idle/policy': 0.03 });
    expect(found).toEqual({
      bound: 'policy',
      trainerLacking: 0.6,
      work: 'generating',
      share: 0.97,
      replicas: 2,
      waitingFor: null,
    });
    expect(said(found)).toBe(
      'policy-bound: the trainer lacks batches 60 % of the time while policies generate 97 % of theirs; add a policy (now 2): `forge scale run policy=3`.',
    );
  });

  it('is the policies when the time goes into the code of rollouts', () => {
    const found = of({ ...hungry, 'busy/policy': 0.3, 'idle/policy': 0.1, 'waits/policy/rollout': 0.6 });
    expect(found).toMatchObject({ bound: 'policy', work: 'rollout', share: 0.6 });
    expect(said(found)).toContain('spend 60 % in the code of the algorithm');
  });

  it.each([
    ['reward', 'rewards (busy 99 %); add a replica (now 1): `forge scale run reward=2`, or make it quicker.'],
    ['reference', 'the reference model (busy 99 %); add replicas, or make it quicker.'],
  ])('is the %s when policies wait for it', (service, text) => {
    const found = of({
      ...hungry,
      'busy/policy': 0.3,
      'idle/policy': 0.1,
      [`waits/policy/${service}`]: 0.6,
      [`busy/${service}`]: 0.99,
    });
    expect(found).toMatchObject({ bound: service, policiesWaiting: 0.6, busy: 0.99 });
    expect(said(found)).toContain(`policies wait 60 % of theirs for ${text}`);
  });

  it('is balanced when both are busy', () => {
    expect(said(of({ ...busy, 'busy/policy': 0.9, 'idle/policy': 0.1 }))).toBe(
      'balanced: the trainer is busy 95 % of the time, policies generate 90 % of theirs.',
    );
  });

  it('takes the mean over the rows, but those that tell nothing', () => {
    const rows = [
      row({ ...hungry, 'busy/policy': 1, 'idle/policy': 0 }),
      row({ 'rollback/to': 3 }),
      row({ ...hungry, 'busy/policy': 0.9, 'idle/policy': 0.1 }),
    ];
    expect(verdict({ run, rows, live })).toMatchObject({ bound: 'policy', share: 0.95 });
  });

  it('says so when the run is paused, has done no step, or waits', () => {
    expect(of({}, { isPaused: true })).toEqual({ bound: 'paused' });
    const starting = verdict({ run, rows: [], live });
    expect(starting).toEqual({ bound: 'starting', waitingFor: null });
    expect(said(starting)).toBe('No step is done yet.');
    const waits = { ...live, waitingFor: 'a policy to be ready' };
    expect(said(verdict({ run, rows: [], live: waits }))).toBe(
      'No step is done yet. It waits for a policy to be ready.',
    );
    const found = of({ ...hungry, 'busy/policy': 0.97, 'idle/policy': 0.03 }, waits);
    expect(found).toMatchObject({ bound: 'policy', waitingFor: 'a policy to be ready' });
    expect(said(found)).toBe('The run has been silent for too long: it waits for a policy to be ready.');
  });

  it('says what a run that is over was bound by', () => {
    const rows = [row({ ...hungry, 'busy/policy': 0.97, 'idle/policy': 0.03 })];
    const over = verdict({ run: { ...run, state: 'finished' }, rows, live: null });
    expect(over).toMatchObject({ bound: 'over', state: 'finished', atEnd: { bound: 'policy' } });
    expect(said(over)).toMatch(
      /^The run is over \(finished\) after 5 of 50 steps\. At its end it was policy-bound: .* add policies\.$/,
    );
    const early = verdict({ run: { ...run, state: 'failed' }, rows: [], live: null });
    expect(said(early)).toBe('The run is over (failed) after 5 of 50 steps.');
  });
});
