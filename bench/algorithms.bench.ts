import { readFileSync, writeFileSync } from 'node:fs';
import { ALGORITHM_NAMES } from '@forge/config';
import { mainJob, type Attempt } from './algorithms/main-job';
import { withSection } from './algorithms/page-section';
import { smallMultiples, type Curves } from './algorithms/small-multiples';
import { endOf, firstWith, percent } from './learning/learning-run';

const SEEDS = [1, 2];
const STEPS = 150;
const BASELINE = 'grpo';
/** Algorithms that learn by themselves, without a teacher. */
const NAMES = ALGORITHM_NAMES.filter((name) => name !== 'opd');
/** As many prompts as there are rollouts else, for algorithms that compare over the batch, not within groups. */
const OF_ONE = [
  'algorithm.groupSize=1',
  'batch.groups=256',
  'batch.oversample=1',
  'policy.jobConcurrency=256',
];
/** Overrides by row. */
const ROWS: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(NAMES.map((name) => [name, [`algorithm.name=${name}`]])),
  'ppo, groups of one': ['algorithm.name=ppo', ...OF_ONE, 'algorithm.critic.learningRate=1e-3'],
  'reinforce++, groups of one': ['algorithm.name=reinforce++', ...OF_ONE],
};
const [DOCS, CHART] = ['docs/algorithms.md', 'docs/algorithms.svg'];

/**
 * The main job with every algorithm of the catalogue, from the same model, for as many steps, with two seeds and everything
 * else the same: held-out accuracy at the end, whatever else the machine does. Writes the table and the picture
 * of docs/algorithms.md.
 */
export function run(): void {
  const all: Curves[] = [];
  for (const [name, overrides] of Object.entries(ROWS)) {
    all.push({ name, runs: SEEDS.map((seed) => mainJob([...overrides, `seed=${seed}`], STEPS)) });
    console.log(row(all.at(-1)!, all[0]!));
  }
  writeMeasured(all, SEEDS);
}

/** Writes runs with these seeds into the page. */
export function writeMeasured(all: readonly Curves[], seeds: readonly number[]): void {
  writeFileSync(CHART, smallMultiples(all, BASELINE, STEPS));
  writeFileSync(DOCS, withSection(readFileSync(DOCS, 'utf8'), measured(all, seeds)));
  console.log(`table in ${DOCS}, curves in ${CHART}`);
}

function measured(all: readonly Curves[], seeds: readonly number[]): string {
  const first = all.find(({ name }) => name === BASELINE) ?? all[0]!;
  return [
    '## Measured',
    '',
    `${STEPS} steps of the main job's task with each, from the same model, seed${seeds.length > 1 ? 's' : ''} ${seeds.join(' and ')}, 32 of 96 groups a step, a constant learning rate of 3e-4 and no curriculum ` +
      '(`npm run bench -- algorithms`): held-out accuracy at the end, of 47.8 % before.',
    '',
    '| name | accuracy, by seed | steps to 70 % | gain, of that of `grpo` |',
    '| --- | --- | --- | --- |',
    ...all.map((curves) => row(curves, first)),
    '',
    '"Groups of one" are 256 prompts with one answer each, in place of 32 with 8 of which 96 are generated; `ppo` has',
    '`critic.learningRate: 1e-3` there.',
    '',
    `![held-out accuracy over steps, each beside ${BASELINE} in grey](algorithms.svg)`,
    '',
  ].join('\n');
}

function row({ name, runs }: Curves, baseline: Curves): string {
  const each = (cell: (run: Exclude<Attempt, string>) => string): string =>
    runs.map((run) => (typeof run === 'string' ? `failed: ${run}` : cell(run))).join(', ');
  const cells = [
    `\`${name}\``,
    each((run) => percent(endOf(run).accuracy)),
    each((run) => String(firstWith(0.7, run)?.step ?? '-')),
    (gainOf(runs) / gainOf(baseline.runs)).toFixed(2),
  ];
  return `| ${cells.join(' | ')} |`;
}

/** Mean over the runs that ended. */
function gainOf(runs: readonly Attempt[]): number {
  const gains = runs.flatMap((run) =>
    typeof run === 'string' ? [] : endOf(run).accuracy - run.points[0]!.accuracy,
  );
  return gains.reduce((sum, gain) => sum + gain, 0) / gains.length;
}
