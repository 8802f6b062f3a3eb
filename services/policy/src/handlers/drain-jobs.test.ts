import { setTimeout as sleep } from 'node:timers/promises';
import { drainJobs, type JobDrain } from './drain-jobs';

/** The events, in order; a job is under way for `jobMs`. */
async function drained(jobMs: number, options: Partial<JobDrain> = {}): Promise<string[]> {
  const done: string[] = [];
  let release = (): void => undefined;
  const handedBack = new Promise<void>((resolve) => (release = resolve));
  await drainJobs({
    close: async () => {
      done.push('closing');
      const finished = sleep(jobMs).then(() => done.push('finished'));
      await Promise.race([finished, handedBack]);
    },
    handBack: () => {
      done.push('hand back');
      release();
    },
    isAlone: () => Promise.resolve(false),
    withinMs: 5_000,
    ...options,
  });
  return [...done];
}

it('finishes what is begun', async () => {
  expect(await drained(300)).toEqual(['closing', 'finished', 'hand back']);
});

it('hands back what takes too long', async () => {
  expect(await drained(2_000, { withinMs: 100 })).toEqual(['closing', 'hand back']);
});

it('hands back at once when the run is going, too', async () => {
  const startedAt = performance.now();
  let looks = 0;
  const isAlone = () => Promise.resolve(++looks === 2);
  expect(await drained(3_000, { isAlone })).toEqual(['closing', 'hand back']);
  expect(performance.now() - startedAt).toBeLessThan(1_500);
});

it('hands back when it can not be told whether the run is going', async () => {
  const isAlone = () => Promise.reject(new Error('no Redis'));
  expect(await drained(3_000, { isAlone })).toEqual(['closing', 'hand back']);
});
