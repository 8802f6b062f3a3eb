import type { JobFailure } from '@forge/broker';
import { giveUpJob } from './job-failures';

const failure = (part: Partial<JobFailure>): JobFailure => ({
  jobId: 'x',
  job: null,
  index: null,
  queuedAtMs: null,
  code: 'BUG_INVARIANT',
  message: 'boom',
  attempts: 3,
  payload: '{}',
  ...part,
});

/** The changes made to the run's state. */
async function effectsOf(given: JobFailure): Promise<unknown[]> {
  const effects: unknown[] = [];
  const note = (...effect: unknown[]) => Promise.resolve(void effects.push(effect));
  await giveUpJob(
    {
      rejectGroup: ({ index }, reason) => note('reject', index, reason).then(() => true),
      deadLetters: { keep: (id: string, kind: string) => note('keep', id, kind) } as never,
      emit: (event) => note('emit', event),
    },
    given,
  );
  return effects;
}

describe('giveUpJob', () => {
  it('gives up the group of a rollout, also when only its id says which', async () => {
    expect(await effectsOf(failure({ index: 7 }))).toEqual([['reject', 7, 'failed']]);
  });

  it('lets a slice of an evaluation count as failed, so that the others can', async () => {
    const samples = [
      { id: 'a', prompt: 'p' },
      { id: 'b', prompt: 'p' },
    ];
    const job = { kind: 'evaluation', schemaVersion: 1, minVersion: 4, part: 1, parts: 2, samples } as const;
    expect(await effectsOf(failure({ job }))).toEqual([
      ['keep', 'e-v4-1', 'evaluation'],
      [
        'emit',
        { kind: 'evaluation', version: 4, part: 1, parts: 2, correct: 0, total: 2, failed: 2, unjudged: 2 },
      ],
    ]);
  });

  it('keeps an evaluation that nobody asked for, and counts none of it', async () => {
    const job = {
      kind: 'evaluation',
      schemaVersion: 1,
      minVersion: 9,
      part: 0,
      parts: 1,
      samples: [],
    } as const;
    const given = failure({ job: { ...job, samples: [] }, jobId: 'y'.repeat(500), reason: 'unknown' });
    expect(await effectsOf(given)).toEqual([['keep', `j-${'y'.repeat(128)}`, 'job']]);
  });

  it('keeps a job that is none', async () => {
    expect(await effectsOf(failure({ jobId: 'odd' }))).toEqual([['keep', 'j-odd', 'job']]);
  });
});
