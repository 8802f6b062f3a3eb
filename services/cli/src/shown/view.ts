import { styleText } from 'node:util';
import { boundOf, stepShare, type StepProgress } from '@forge/contracts';
import { duration, stepProgressWords } from '@forge/runs';
import { busyShare, generatedPerSecond, stepUnderWay, timeLeftMs, type RunProgress } from './progress';

/** The run as it was started. */
export interface RunHeader {
  runId: string;
  recipe: string;
  seed: number;
  steps: number;
  maxStaleness: number;
  startedAtMs: number;
  directory: string;
}

/** The header of a run that was set otherwise meanwhile. */
export function headerNow(header: RunHeader, { settings }: Pick<RunProgress, 'settings'>): RunHeader {
  const { steps, maxStaleness } = settings;
  return {
    ...header,
    ...(steps !== undefined && { steps: Number(steps) }),
    ...(maxStaleness !== undefined && { maxStaleness: boundOf(maxStaleness) }),
  };
}

const SPARKS = '▁▂▃▄▅▆▇█';
const BAR_CELLS = 30;

/** The live view: one block of lines, redrawn in place. */
export function renderLive(header: RunHeader, progress: RunProgress, nowMs: number, columns: number): string {
  const current = stepUnderWay(progress, nowMs);
  const left = timeLeftMs(progress, header.steps, nowMs);
  const accuracies = progress.evaluations.map((point) => point.accuracy);
  const sparkCells = Math.max(8, Math.min(40, columns - 40));
  const lines = [
    `${styleText('bold', header.recipe)}  ${styleText('dim', `${header.runId}  seed ${header.seed}  maxStaleness ${header.maxStaleness}  ${progress.state}`)}`,
    `step      ${bar(progress.step / header.steps)} ${progress.step}/${header.steps}  ${duration(nowMs - header.startedAtMs)} elapsed${left === null ? '' : `, at most ${duration(left)} left`}`,
    ...(current === null ? [] : [renderStep(current)]),
    row('accuracy', percent(accuracies.at(-1)), sparkline(accuracies, sparkCells, 0, 1), 'held out, greedy'),
    row(
      'reward',
      fixed(progress.rewards.at(-1), 3),
      sparkline(progress.rewards, sparkCells),
      'training rollouts',
    ),
    row(
      'lag',
      `${fixed(progress.values['lag/mean'], 1)}`,
      '',
      `mean; max ${fixed(progress.values['lag/max'], 0)}, bound ${header.maxStaleness}`,
    ),
    row('tokens/s', count(generatedPerSecond(progress)), '', 'generated'),
    row(
      'busy',
      `${percent(busyShare(progress, 'trainer'))}`,
      '',
      `trainer; policy ${percent(busyShare(progress, 'policy'))}`,
    ),
    row(
      'mismatch',
      scientific(progress.values['logprob_mismatch']),
      '',
      'generator against trainer log-probs, max',
    ),
    styleText('dim', `files     ${header.directory}`),
  ];
  if (progress.message !== null) lines.push(styleText('yellow', progress.message));
  if (progress.waitingFor !== null) lines.push(styleText('yellow', `waiting for ${progress.waitingFor}`));
  return lines.map((line) => line.trimEnd()).join('\n');
}

/** The step under way: a bar, and what it is at. */
function renderStep(current: StepProgress): string {
  return `${`step ${current.step}`.padEnd(10)}${bar(stepShare(current))} ${stepProgressWords(current)}`;
}

function bar(share: number): string {
  const filled = Math.round(Math.min(1, share) * BAR_CELLS);
  return '█'.repeat(filled) + '░'.repeat(BAR_CELLS - filled);
}

/** One line for the step under way, for logs and pipes. */
export function renderPlainStep(header: RunHeader, current: StepProgress): string {
  return `step ${current.step}/${header.steps}: ${stepProgressWords(current)}`;
}

/** One line for a step that is done, for logs and pipes. */
export function renderPlain(header: RunHeader, progress: RunProgress, nowMs: number): string {
  const { values } = progress;
  const left = timeLeftMs(progress, header.steps, nowMs);
  return [
    `step ${progress.step}/${header.steps}`,
    `reward ${fixed(values['reward/mean'], 3)}`,
    `accuracy ${percent(progress.evaluations.at(-1)?.accuracy)}`,
    `lag ${fixed(values['lag/mean'], 1)}/${fixed(values['lag/max'], 0)}`,
    `generated ${count(generatedPerSecond(progress))} tok/s`,
    `busy trainer ${percent(busyShare(progress, 'trainer'))} policy ${percent(busyShare(progress, 'policy'))}`,
    `mismatch ${scientific(values['logprob_mismatch'])}`,
    `elapsed ${duration(nowMs - header.startedAtMs)}`,
    ...(left === null ? [] : [`left ${duration(left)}`]),
  ].join('  ');
}

function row(name: string, value: string, chart: string, note: string): string {
  return `${name.padEnd(10)}${value.padEnd(9)}${chart === '' ? '' : `${chart}  `}${styleText('dim', note)}`;
}

/** The last `cells` values as block characters, between `low` and `high` or their own extremes. */
export function sparkline(values: readonly number[], cells: number, low?: number, high?: number): string {
  const shown = values.slice(-cells);
  const bottom = low ?? Math.min(...shown);
  const span = (high ?? Math.max(...shown)) - bottom;
  return shown
    .map((value) => SPARKS[span > 0 ? Math.round(((value - bottom) / span) * (SPARKS.length - 1)) : 0])
    .join('');
}

const percent = (x: number | undefined) => (x === undefined ? '-' : `${(100 * x).toFixed(1)} %`);
const fixed = (x: number | undefined, digits: number) => (x === undefined ? '-' : x.toFixed(digits));
const scientific = (x: number | undefined) => (x === undefined ? '-' : x.toExponential(1));
const count = (x: number | undefined) => (x === undefined ? '-' : Math.round(x).toLocaleString('en-US'));
