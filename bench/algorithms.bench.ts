import { readFileSync, writeFileSync } from 'node:fs';
import { ALGORITHM_NAMES } from '@forge/config';
import { smallMultiples, type Curves } from './algorithms/small-multiples';
import { withSection } from './algorithms/page-section';
import { timedRun, type TimedRun } from './algorithms/timed-run';

const SEEDS = [1, 2];
const SECONDS = 120;
const BASELINE = 'grpo';
/** Algorithms that learn by themselves, without a teacher. */
const NAMES = ALGORITHM_NAMES.filter((name) => name !== 'opd');
const [DOCS, CHART] = ['docs/algorithms.md', 'docs/algorithms.svg'];

/**
 * The main job with every algorithm of the catalogue, from the same model, for the same time, with two seeds and everything
 * else as the recipe has it: held-out accuracy at the end of the time. Writes the table and the picture of docs/algorithms.md.
 */
export async function run(names: readonly string[] = NAMES, seconds = SECONDS): Promise<void> {
  const all: Curves[] = [];
  for (const name of names) {
    const runs: TimedRun[] = [];
    for (const seed of SEEDS) runs.push(await timedRun([`algorithm.name=${name}`, `seed=${seed}`], seconds));
    all.push({ name, runs });
    console.log(row(all.at(-1)!, all[0]!));
  }
  writeFileSync(CHART, smallMultiples(all, BASELINE, seconds));
  writeFileSync(DOCS, withSection(readFileSync(DOCS, 'utf8'), measured(all, seconds)));
  console.log(`table in ${DOCS}, curves in ${CHART}`);
}

function measured(all: readonly Curves[], seconds: number): string {
  const first = all.find(({ name }) => name === BASELINE) ?? all[0]!;
  const head = [
    '| name | accuracy, by seed | to 90 %, s | steps | to grpo |',
    '| --- | --- | --- | --- | --- |',
  ];
  return [
    '## Measured',
    '',
    `The main job for ${seconds} s with each, from the same model, seeds ${SEEDS.join(' and ')}, all else as its recipe has it ` +
      '(`npm run bench -- algorithms`): held-out accuracy at the end of the time.',
    '',
    ...head,
    ...all.map((curves) => row(curves, first)),
    '',
    `![held-out accuracy over seconds, each beside ${BASELINE} in grey](algorithms.svg)`,
    '',
  ].join('\n');
}

function row({ name, runs }: Curves, baseline: Curves): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const failures = runs.flatMap(({ failure }) => failure ?? []);
  const reached = runs.map(
    ({ points }) => points.find(([, accuracy]) => accuracy >= 0.9)?.[0].toFixed(0) ?? '-',
  );
  const cells = [
    `\`${name}\``,
    failures.length > 0 ? `failed: ${failures[0]!}` : runs.map((one) => percent(finalOf(one))).join(', '),
    reached.join(', '),
    runs.map(({ steps }) => steps).join(', '),
    (meanOf(runs) / meanOf(baseline.runs)).toFixed(2),
  ];
  return `| ${cells.join(' | ')} |`;
}

const finalOf = ({ points }: TimedRun): number => points.at(-1)?.[1] ?? 0;
const meanOf = (runs: readonly TimedRun[]): number =>
  runs.reduce((sum, one) => sum + finalOf(one), 0) / runs.length;
