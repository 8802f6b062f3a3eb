import { writeFileSync } from 'node:fs';
import { learningCurves, type Curve } from './learning/learning-curves';
import { endOf, learningRun, percent } from './learning/learning-run';

const CHART = 'docs/agent-curves.svg';
/** A game of several turns, and products with a calculator, for the baseline without, and by an agent in a process of its own. */
const RUNS = [
  { name: 'guess-grpo', recipe: 'guess-grpo', overrides: [], color: '#d9822b', dash: 'solid' },
  { name: 'tool-grpo', recipe: 'tool-grpo', overrides: [], color: '#2f6fdb', dash: 'solid' },
  {
    name: 'tool-grpo, no tool',
    recipe: 'tool-grpo',
    overrides: ['rollout=null'],
    color: '#2f6fdb',
    dash: 'dashed',
  },
  { name: 'agent-grpo', recipe: 'agent-grpo', overrides: [], color: '#2f6fdb', dash: 'dotted' },
] as const;

/**
 * Held-out accuracy of the agents that recipes train from `models/agent`: before, and at the end of the run. Draws the curves
 * of docs/agents.md.
 */
export function run(): void {
  const curves: Curve[] = [];
  const ends: Record<string, number> = {};
  const took: Record<string, number> = {};
  for (const { name, recipe, overrides, color, dash } of RUNS) {
    const learnt = learningRun(recipe, overrides);
    const { seconds, step, accuracy } = endOf(learnt);
    curves.push({ name, color, dash, points: learnt.points });
    ends[name] = accuracy;
    took[name] = seconds;
    console.log(
      `${name}: ${percent(learnt.points[0]!.accuracy)} -> ${percent(accuracy)}, ${step} steps in ${seconds.toFixed(0)} s`,
    );
    console.log(learnt.points.map((point) => `  ${point.step}: ${percent(point.accuracy)}`).join(''));
  }
  writeFileSync(CHART, learningCurves(curves, 0));
  const ratio = ends['tool-grpo']! / Math.max(ends['tool-grpo, no tool']!, 0.005);
  console.log(
    `seconds of an agent's processes over those of a tool in the policy: ${(took['agent-grpo']! / took['tool-grpo']!).toFixed(1)}`,
  );
  console.log(`accuracy with the tool over accuracy without: ${ratio.toFixed(0)}; curves in ${CHART}`);
}
