import fc from 'fast-check';
import { epochOrder } from '../tasks/permutation';
import { mix } from '../tasks/seeded-hash';
import { Curriculum, type CurriculumOptions, type DrawResult } from './curriculum';

const GROUP = 8;

interface World {
  task: {
    size: number;
    sample: (index: number) => { id: string; prompt: string };
    difficulty: (index: number) => string;
  };
  /** A group of the sample at a position, the same for the same draw. */
  roll: (position: number, draw: number) => DrawResult;
}

/** A task of `size` samples, of which every third is solved half of the time, and the others always or never. */
function world(size: number, difficulty: (item: number) => string = () => 'all'): World {
  const order = epochOrder(size, 7);
  const rate = (item: number): number => [0, 0.5, 1][item % 3]!;
  const task = {
    size,
    sample: (index: number) => ({ id: `s${order(index)}`, prompt: '' }),
    difficulty: (index: number) => difficulty(order(index)),
  };
  const roll = (position: number, draw: number): DrawResult => {
    const right = Array.from(
      { length: GROUP },
      (_, k) => mix(mix(draw, k), 5) / 2 ** 32 < rate(order(position)),
    );
    const correct = right.filter(Boolean).length;
    return { position, success: correct / GROUP, informative: correct > 0 && correct < GROUP };
  };
  return { task, roll };
}

/** Draws and observes batches; what was drawn, and how it went. */
function follow(
  curriculum: Curriculum,
  { roll }: World,
  batches: number,
  batch: number,
  from = 0,
): DrawResult[] {
  return Array.from({ length: batches }, (_, step) => {
    const first = (from + step) * batch;
    const results = Array.from({ length: batch }, (_, k) => roll(curriculum.draw(), first + k));
    curriculum.observe(results);
    return results;
  }).flat();
}

const informativeShare = (results: readonly DrawResult[]): number =>
  results.filter(({ informative }) => informative).length / results.length;

const options: CurriculumOptions = { explore: 0.1, repeatAfter: 64, seed: 1 };

describe('Curriculum', () => {
  it('draws about twice as many informative groups as there are, once it knows the samples', () => {
    const drawn = follow(new Curriculum(world(600).task, options), world(600), 100, 32);
    expect(informativeShare(drawn.slice(0, 96))).toBeLessThan(0.5);
    expect(informativeShare(drawn.slice(-1600))).toBeGreaterThan(0.75);
  });

  it('knows a sample it has not seen by those of its difficulty', () => {
    const never = { ...options, repeatAfter: 10_000 };
    const named = world(60_000, (item) => `${item % 3}`);
    const drawn = follow(new Curriculum(named.task, never), named, 40, 32);
    expect(informativeShare(drawn.slice(-640))).toBeGreaterThan(0.75);
    const nameless = world(60_000);
    const blind = follow(new Curriculum(nameless.task, never), nameless, 40, 32);
    expect(informativeShare(blind.slice(-640))).toBeLessThan(0.45);
  });

  it('prefers what is mostly wrong among what is as often informative', () => {
    const scene = world(6_000, (item) => `${item % 2}`);
    const roll = (position: number, draw: number): DrawResult => {
      const isHard = scene.task.difficulty(position) === '1';
      return { position, success: isHard ? 0.25 : 0.75, informative: mix(draw, 3) % 4 > 0 };
    };
    const drawn = follow(new Curriculum(scene.task, options), { ...scene, roll }, 40, 32);
    const hard = drawn.slice(-640).filter(({ success }) => success < 0.5).length / 640;
    // Nine times as often, but for the tenth that follows the order.
    expect(hard).toBeGreaterThan(0.75);
    expect(hard).toBeLessThan(0.95);
  });

  it('draws every position of the order within a bound, whatever it knows', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom(0.1, 0.3, 1),
        fc.nat(),
        (size, explore, seed) => {
          const curriculum = new Curriculum(world(size).task, { explore, repeatAfter: 5, seed });
          const drawn = follow(curriculum, world(size), Math.ceil((4 * size) / explore), 4);
          const { task } = world(size);
          const newest = new Map(Array.from({ length: size }, (_, item) => [`s${item}`, 0]));
          drawn.forEach(({ position }, draw) => newest.set(task.sample(position).id, draw));
          // Two epochs at most lie between two positions of a sample, and all that is ahead is drawn before.
          for (const draw of newest.values())
            expect(drawn.length - draw).toBeLessThanOrEqual((3 * size) / explore + 1);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('goes on from what was saved as if it had not stopped', () => {
    fc.assert(
      fc.property(
        fc.record({
          size: fc.integer({ min: 1, max: 400 }),
          seed: fc.nat(),
          repeatAfter: fc.integer({ min: 1, max: 300 }),
        }),
        fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 8 }),
        ({ size, seed, repeatAfter }, stops) => {
          const scene = world(size, (item) => `${item % 4} of four`);
          const fresh = (saved?: Record<string, string>) =>
            new Curriculum(scene.task, { explore: 0.2, repeatAfter, seed }, saved);
          let stopped = fresh();
          const saved: Record<string, string> = {};
          const pieces: DrawResult[] = [];
          let done = 0;
          for (const batches of stops) {
            pieces.push(...follow(stopped, scene, batches, 16, done));
            // Draws whose results are not there yet are saved as well.
            done += batches;
            for (const [field, text] of Object.entries(stopped.changes())) {
              if (text === null) delete saved[field];
              else saved[field] = text;
            }
            stopped = fresh(saved);
            expect(stopped.nextStep).toBe(done);
          }
          expect(pieces).toEqual(follow(fresh(), scene, done, 16));
        },
      ),
      { numRuns: 20 },
    );
  });

  it('keeps no more than a bounded number of samples', () => {
    const scene = world(1_000_000);
    const curriculum = new Curriculum(scene.task, { ...options, repeatAfter: 10_000 });
    const kept = new Set<string>();
    for (let i = 0; i < 20; i++) {
      follow(curriculum, scene, 1, 1_000, i);
      for (const [field, text] of Object.entries(curriculum.changes())) {
        if (text === null) kept.delete(field);
        else kept.add(field);
      }
    }
    expect([...kept].filter((field) => field.startsWith('sample:'))).toHaveLength(16_384);
    expect([...kept].filter((field) => field.startsWith('ahead:')).length).toBeLessThanOrEqual(8_192);
  });

  it('starts where a run went on', () => {
    const { task } = world(100);
    const curriculum = new Curriculum(task, { ...options, explore: 1 });
    curriculum.startAt(40, 3);
    expect([curriculum.nextStep, curriculum.draw(), curriculum.draw()]).toEqual([3, 40, 41]);
  });

  it('takes in results of samples that it has forgotten, and rewards beyond 0 … 1', () => {
    const { task } = world(100);
    const curriculum = new Curriculum(task, options);
    curriculum.observe([
      { position: 77, success: -3, informative: false },
      { position: 78, success: 5, informative: true },
    ]);
    expect(curriculum.nextStep).toBe(1);
    expect(curriculum.draw()).toBeGreaterThanOrEqual(0);
  });
});
