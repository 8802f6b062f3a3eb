import type { Ledger } from '@forge/broker';
import { runEnd } from './run-end';

const goals = { steps: 10, stopAtAccuracy: 0.9, candidatesPerBatch: 4 };
const ledger = (part: Partial<Ledger> = {}): Ledger => ({
  admitted: 0,
  inFlight: 0,
  buffered: 0,
  leased: 0,
  trained: 0,
  discarded: {},
  isBalanced: true,
  ...part,
});
const progress = { version: 3, evaluations: [{ version: 0, accuracy: 0.4, unjudged: 0 }], ledger: ledger() };

describe('runEnd', () => {
  it('goes on while neither steps nor accuracy are reached', () => {
    expect(runEnd(goals, progress)).toBeNull();
  });

  it('stops after the last step', () => {
    expect(runEnd(goals, { ...progress, version: 10 })?.phase).toBe('stopping');
  });

  it('fails when not one sample of an evaluation could be judged', () => {
    const evaluations = [{ version: 2, accuracy: 0, unjudged: 1, isVoid: true as const }];
    expect(runEnd(goals, { ...progress, evaluations })).toEqual({
      phase: 'failed',
      message: expect.stringContaining('not one held-out sample of version 2') as string,
    });
  });

  it('stops when the newest evaluation reaches the accuracy', () => {
    const evaluations = [...progress.evaluations, { version: 2, accuracy: 0.9, unjudged: 0.5 }];
    expect(runEnd(goals, { ...progress, evaluations })?.message).toBe('held-out accuracy 0.900 reached');
    expect(runEnd({ ...goals, stopAtAccuracy: null }, { ...progress, evaluations })).toBeNull();
  });

  it('goes on when most samples of the newest evaluation were not judged, whatever the accuracy of the others', () => {
    const evaluations = [...progress.evaluations, { version: 2, accuracy: 1, unjudged: 0.51 }];
    expect(runEnd(goals, { ...progress, evaluations })).toBeNull();
  });

  it('fails when a batch of groups is lost and most are', () => {
    const mostLost = ledger({ trained: 3, discarded: { failed: 3, invalid: 1 } });
    expect(runEnd(goals, { ...progress, ledger: mostLost })).toMatchObject({ phase: 'failed' });
  });

  it('fails when most groups have nothing but dropped rollouts, and says what would help', () => {
    const mostCut = ledger({ trained: 3, discarded: { truncated: 4 } });
    expect(runEnd(goals, { ...progress, ledger: mostCut })).toEqual({
      phase: 'failed',
      message: expect.stringContaining('4 of 7 groups had no rollout that was not cut off') as string,
    });
  });

  it('puts up with losses that are few', () => {
    expect(runEnd(goals, { ...progress, ledger: ledger({ discarded: { failed: 3 } }) })).toBeNull();
    expect(
      runEnd(goals, { ...progress, ledger: ledger({ trained: 40, discarded: { failed: 12 } }) }),
    ).toBeNull();
  });
});
