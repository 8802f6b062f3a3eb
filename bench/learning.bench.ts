import { writeFileSync } from 'node:fs';
import { learningCurves, type Curve } from './learning/learning-curves';
import { endOf, firstWith, learningRun, percent } from './learning/learning-run';

const SEEDS = [1, 2, 3] as const;
const STALENESS = [0, 4] as const;
const CHART = 'docs/learning-curves.svg';
const COLORS = { 0: '#d9822b', 4: '#2f6fdb' };
const DASHES = { 1: 'solid', 2: 'dashed', 3: 'dotted' } as const;

/**
 * The main job for three seeds, synchronous and asynchronous: the time from the start of the run to 90 % held-out
 * accuracy, and at its end. The target is below 50 % to at least 90 % within 180 s. Draws the README's curves.
 */
export function run(): void {
  const curves: Curve[] = [];
  const total = { 0: 0, 4: 0 };
  for (const seed of SEEDS) {
    for (const maxStaleness of STALENESS) {
      const name = `maxStaleness ${maxStaleness}, seed ${seed}`;
      const learnt = learningRun('arithmetic-grpo', [`seed=${seed}`, `maxStaleness=${maxStaleness}`]);
      const { seconds, step, accuracy } = endOf(learnt);
      total[maxStaleness] += seconds;
      curves.push({ name, color: COLORS[maxStaleness], dash: DASHES[seed], points: learnt.points });
      console.log(
        `${name}: ${percent(learnt.points[0]!.accuracy)} -> ${percent(accuracy)}, 90 % after ${firstWith(0.9, learnt)?.seconds.toFixed(0) ?? '-'} s, ${step} steps in ${seconds.toFixed(0)} s`,
      );
    }
  }
  writeFileSync(CHART, learningCurves(curves, 0.4));
  console.log(
    `time at maxStaleness 4 over time at 0: ${(total[4] / total[0]).toFixed(2)}; curves in ${CHART}`,
  );
}
