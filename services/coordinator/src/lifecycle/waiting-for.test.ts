import type { Ledger } from '@forge/broker';
import type { RunSituation } from './run-situation';
import { waitingFor } from './waiting-for';

const services = ['trainer', 'policy', 'reward', 'reference', 'replay-buffer'];
const ready = Object.fromEntries(services.map((service) => [service, 1]));
const NO_GROUPS = {
  admitted: 0,
  inFlight: 0,
  buffered: 0,
  leased: 0,
  trained: 0,
  discarded: {},
  isBalanced: true,
};
const none = { waiting: 0, active: 0, delayed: 0 };

function situation(
  changes: Partial<Omit<RunSituation, 'ledger'>>,
  ledger: Partial<Ledger> = {},
): RunSituation {
  return {
    phase: 'running',
    isPaused: false,
    version: 7,
    nextBatch: 7,
    candidatesPerBatch: 8,
    jobs: none,
    held: 0,
    services,
    ready,
    isModelSaved: false,
    work: { generatedTokens: 0, microBatches: null },
    ...changes,
    ledger: { ...NO_GROUPS, ...ledger },
  };
}
const without = (service: string) => ({ ...ready, [service]: 0 });

describe('waitingFor', () => {
  it.each<[string, RunSituation | null]>([
    ['Redis, which does not answer', null],
    ['the trainer to train and commit batch 7', situation({ nextBatch: 8 }, { leased: 4 })],
    ['a trainer to be ready: batch 7 is formed', situation({ nextBatch: 8, ready: without('trainer') })],
    ['the replay-buffer to form batch 7 of 9 groups', situation({}, { buffered: 9 })],
    [
      'the policies to finish 2 jobs; 1 more are queued',
      situation({ jobs: { waiting: 1, active: 2, delayed: 0 } }, { buffered: 9, inFlight: 3 }),
    ],
    [
      'a replay-buffer to be ready: there are 8 groups for batch 7',
      situation({ ready: without('replay-buffer') }, { buffered: 8 }),
    ],
    [
      'a policy to be ready: 6 jobs are queued or under way',
      situation({ jobs: { waiting: 5, active: 1, delayed: 0 }, ready: without('policy') }, { inFlight: 6 }),
    ],
    [
      'a reward to be ready: 3 jobs are queued or under way',
      situation({ jobs: { waiting: 0, active: 3, delayed: 0 }, ready: without('reward') }, { inFlight: 3 }),
    ],
    [
      'a gateway to be ready: 3 jobs are queued or under way',
      situation(
        {
          jobs: { waiting: 0, active: 3, delayed: 0 },
          services: [...services, 'gateway'],
          ready: without('gateway'),
        },
        { inFlight: 3 },
      ),
    ],
    [
      'the policies to finish 3 jobs; 5 more are queued',
      situation({ jobs: { waiting: 5, active: 3, delayed: 0 } }, { inFlight: 8 }),
    ],
    [
      'agents to finish 3 jobs; 5 more are queued',
      situation(
        {
          jobs: { waiting: 5, active: 3, delayed: 0 },
          services: [...services, 'gateway'],
          ready: { ...ready, gateway: 1 },
        },
        { inFlight: 8 },
      ),
    ],
    [
      'a policy to take one of 5 queued jobs',
      situation({ jobs: { waiting: 5, active: 0, delayed: 1 } }, { inFlight: 6 }),
    ],
    ['2 jobs that failed to be tried again', situation({ jobs: { ...none, delayed: 2 } }, { inFlight: 2 })],
    ['the evaluation of version 7', situation({ held: 8 }, { inFlight: 8 })],
    [
      'a replay-buffer to be ready: 3 groups are in flight',
      situation({ ready: without('replay-buffer') }, { inFlight: 3 }),
    ],
    [
      '3 groups in flight to reach the replay-buffer; batch 7 has 5 of 8',
      situation({}, { inFlight: 3, buffered: 5 }),
    ],
    ['groups to be admitted; batch 7 has 2 of 8', situation({}, { buffered: 2 })],
    ['forge unpause: admission is paused', situation({ isPaused: true }, { buffered: 2 })],
    ['the trainer to save the model', situation({ phase: 'stopping' })],
    [
      'a trainer to be ready: the model is to be saved',
      situation({ phase: 'stopping', ready: without('trainer') }),
    ],
    ['the evaluation of version 7', situation({ phase: 'stopping', isModelSaved: true })],
  ])('says: %s', (expected, where) => {
    expect(waitingFor(where).for).toBe(expected);
  });

  it('misses no reference where the run has none', () => {
    const active = { ...none, active: 1 };
    const [, ...others] = services;
    const needed = others.filter((service) => service !== 'reference');
    expect(
      waitingFor(situation({ jobs: active, services: needed, ready: without('reference') }, { inFlight: 1 })),
    ).toEqual({ for: 'the policies to finish 1 jobs; 0 more are queued', isAtWork: true });
  });

  it('knows whether a service that is there may just need long', () => {
    const isAtWork = (where: RunSituation | null) => waitingFor(where).isAtWork;
    expect(isAtWork(null)).toBe(false);
    expect(isAtWork(situation({ nextBatch: 8 }, { leased: 4 }))).toBe(true);
    expect(isAtWork(situation({ nextBatch: 8, ready: without('trainer') }))).toBe(false);
    expect(isAtWork(situation({ isPaused: true }))).toBe(false);
  });
});
