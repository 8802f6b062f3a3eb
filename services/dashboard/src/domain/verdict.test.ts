import type { MetricsRow } from '../api';
import { verdict, type Evidence } from './verdict';

const run = { id: 'run', state: 'running', step: 5, steps: 50 } as const;
const live = { isPaused: false, waitingFor: null, maxStaleness: 1, wanted: { policy: 2, reward: 1 } };
const row = (shares: Record<string, number>): MetricsRow => ({ step: 5, ...shares });
const of = (shares: Record<string, number>, now: Partial<Evidence['live']> = {}) =>
  verdict({ run, rows: [row(shares)], live: { ...live, ...now } });

/** A trainer that waits, so that what the policies do decides. */
const hungry = { 'busy/trainer': 0.4, 'idle/trainer': 0, 'waits/trainer/batch': 0.6 };
const busy = { 'busy/trainer': 0.95, 'idle/trainer': 0.01, 'waits/trainer/batch': 0.04 };

describe('verdict', () => {
  it('says trainer-bound when the trainer hardly waits and the policies do', () => {
    const found = of({ ...busy, 'busy/policy': 0.38, 'idle/policy': 0.6, 'waits/policy/weights': 0.02 });
    expect(found).toEqual({
      bound: 'trainer',
      text: 'trainer-bound: the trainer is busy 95 % of the time, and policies have nothing to do 62 % of theirs; make a step cheaper (fewer groups in a batch, more threads, a GPU), or do with fewer policies (now 2).',
    });
  });

  it('says trainer-bound when what the policies did is not taken', () => {
    const found = of({ ...busy, 'busy/policy': 0.38, 'idle/policy': 0, 'waits/policy/replay-buffer': 0.62 });
    expect(found.bound).toBe('trainer');
    expect(found.text).toContain('policies wait 62 % of theirs for the replay buffer');
  });

  it('says staleness-bound when both have nothing to do, turn by turn', () => {
    const shares = { ...hungry, 'busy/policy': 0.55, 'idle/policy': 0.45 };
    expect(of(shares, { maxStaleness: 0 })).toEqual({
      bound: 'staleness',
      text: 'staleness-bound: policies have nothing to do 45 % of the time and the trainer 60 %, turn by turn; raise maxStaleness (now 0) so that both work at once: forge set run maxStaleness=1.',
    });
  });

  it('does not ask for more staleness where there is no bound', () => {
    const shares = { ...hungry, 'busy/policy': 0.55, 'idle/policy': 0.45 };
    expect(of(shares, { maxStaleness: null }).bound).toBe('policy');
    expect(of({ ...hungry, 'busy/policy': 0.2, 'idle/policy': 0.8 }, { maxStaleness: null }).bound).toBe(
      'balanced',
    );
  });

  it('says policy-bound when policies generate while the trainer waits', () => {
    expect(of({ ...hungry, 'busy/policy': 0.97, 'idle/policy': 0.03 })).toEqual({
      bound: 'policy',
      text: 'policy-bound: the trainer lacks batches 60 % of the time while policies generate 97 % of theirs; add a policy (now 2): forge scale run policy=3.',
    });
  });

  it('says policy-bound when the time goes into the code of rollouts', () => {
    const found = of({
      ...hungry,
      'busy/policy': 0.3,
      'idle/policy': 0.1,
      'waits/policy/rollout': 0.6,
    });
    expect(found.bound).toBe('policy');
    expect(found.text).toContain('spend 60 % in the code of the algorithm');
  });

  it.each([
    ['reward', 'rewards (busy 99 %); add a replica (now 1): forge scale run reward=2'],
    ['reference', 'the reference model (busy 99 %); add replicas'],
  ])('says %s-bound when policies wait for it', (service, text) => {
    const found = of({
      ...hungry,
      'busy/policy': 0.3,
      'idle/policy': 0.1,
      [`waits/policy/${service}`]: 0.6,
      [`busy/${service}`]: 0.99,
    });
    expect(found.bound).toBe(service);
    expect(found.text).toContain(`policies wait 60 % of theirs for ${text}`);
  });

  it('says balanced when both are busy', () => {
    expect(of({ ...busy, 'busy/policy': 0.9, 'idle/policy': 0.1 })).toEqual({
      bound: 'balanced',
      text: 'balanced: the trainer is busy 95 % of the time, policies generate 90 % of theirs.',
    });
  });

  it('takes the mean over the rows, but those that tell nothing', () => {
    const rows = [
      row({ ...hungry, 'busy/policy': 1, 'idle/policy': 0 }),
      row({ 'rollback/to': 3 }),
      row({ ...hungry, 'busy/policy': 0.9, 'idle/policy': 0.1 }),
    ];
    expect(verdict({ run, rows, live }).text).toContain('policies generate 95 %');
  });

  it('says so when the run is paused, has done no step, waits, or is over', () => {
    expect(of({}, { isPaused: true }).bound).toBe('paused');
    expect(verdict({ run, rows: [], live })).toEqual({ bound: 'starting', text: 'No step is done yet.' });
    const waits = { ...live, waitingFor: 'a policy to be ready' };
    expect(verdict({ run, rows: [], live: waits }).text).toBe(
      'No step is done yet. It waits for a policy to be ready.',
    );
    const shares = { ...hungry, 'busy/policy': 0.97, 'idle/policy': 0.03 };
    expect(of(shares, waits)).toEqual({
      bound: 'policy',
      text: 'Nothing has changed for a while: the run waits for a policy to be ready.',
    });
    const over = verdict({ run: { ...run, state: 'finished' }, rows: [row(shares)], live: null });
    expect(over.bound).toBe('over');
    expect(over.text).toMatch(/^The run is over \(finished\) after 5 of 50 steps. At its end it was policy-bound: .* add policies\.$/); // prettier-ignore
  });
});
