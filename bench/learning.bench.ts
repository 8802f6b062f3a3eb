import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { init } from 'echarts';

const SEEDS = [1, 2, 3];
const STALENESS = [0, 4];
const CHART = 'docs/learning-curves.svg';
const COLORS = { 0: '#d9822b', 4: '#2f6fdb' };
const GREY = '#8a8a8a';

interface Curve {
  seed: number;
  maxStaleness: number;
  steps: number;
  /** [seconds since the run began, held-out accuracy]. */
  points: [number, number][];
  final: number;
}

/** The main job as `npm start` runs it. */
function learn(seed: number, maxStaleness: number, dir: string): Curve {
  const overrides = [`seed=${seed}`, `maxStaleness=${maxStaleness}`, `output.dir=${dir}`];
  const forge = join('services', 'cli', 'bin', 'forge.cjs');
  const { status } = spawnSync(process.execPath, [forge, 'run', 'arithmetic-grpo', ...overrides], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) throw new Error(`forge run ended with ${status}`);
  const run = join(dir, readdirSync(dir).sort().at(-1)!);
  const summary = JSON.parse(readFileSync(join(run, 'summary.json'), 'utf8')) as Record<string, number>;
  const points = new Map<number, [number, number]>();
  for (const line of readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n')) {
    const row = JSON.parse(line) as Record<string, number>;
    const version = row['eval/version'];
    if (version === undefined || points.has(version)) continue;
    points.set(version, [version === 0 ? 0 : row['time/elapsed_s']!, row['eval/accuracy']!]);
  }
  const final = summary['finalAccuracy']!;
  points.set(summary['steps']!, [summary['seconds']!, final]);
  rmSync(run, { recursive: true });
  return { seed, maxStaleness, steps: summary['steps']!, points: [...points.values()], final };
}

function draw(curves: readonly Curve[]): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: 720, height: 320 });
  const axis = { type: 'value' as const, nameTextStyle: { color: GREY }, axisLabel: { color: GREY } };
  chart.setOption({
    animation: false,
    grid: { left: 48, right: 16, top: 76, bottom: 44 },
    legend: { top: 0, textStyle: { color: GREY }, itemWidth: 28, symbolKeepAspect: true },
    xAxis: { ...axis, name: 'seconds', nameLocation: 'middle', nameGap: 28, splitLine: { show: false } },
    yAxis: {
      ...axis,
      min: 0.4,
      max: 1,
      name: 'held-out accuracy',
      splitLine: { lineStyle: { color: GREY, opacity: 0.25 } },
    },
    series: curves.map(({ seed, maxStaleness, points }) => ({
      name: `maxStaleness ${maxStaleness}, seed ${seed}`,
      type: 'line',
      silent: true,
      symbol: 'none',
      color: COLORS[maxStaleness as keyof typeof COLORS],
      lineStyle: { width: 1.6, type: (['solid', 'dashed', 'dotted'] as const)[seed - 1]! },
      data: points,
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

/**
 * The main job for three seeds, synchronous and asynchronous: the time from the start of the run to 90 % held-out
 * accuracy, and at its end. The target is below 50 % to at least 90 % within 180 s. Draws the README's curves.
 */
export function run(): void {
  const dir = mkdtempSync(join(tmpdir(), 'forge-learning-'));
  const curves: Curve[] = [];
  try {
    for (const seed of SEEDS) {
      for (const maxStaleness of STALENESS) {
        const curve = learn(seed, maxStaleness, dir);
        curves.push(curve);
        const { points, final, steps } = curve;
        const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
        const reached = points.find(([, accuracy]) => accuracy >= 0.9)?.[0];
        console.log(
          `seed ${seed}, maxStaleness ${maxStaleness}: ${percent(points[0]![1])} -> ${percent(final)}, 90 % after ${reached?.toFixed(0) ?? '-'} s, ${steps} steps in ${points.at(-1)![0].toFixed(0)} s`,
        );
      }
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  writeFileSync(CHART, draw(curves));
  const times = (at: number): number =>
    curves
      .filter(({ maxStaleness }) => maxStaleness === at)
      .reduce((sum, { points }) => sum + points.at(-1)![0], 0);
  console.log(
    `time at maxStaleness 4 over time at 0: ${(times(4) / times(0)).toFixed(2)}; curves in ${CHART}`,
  );
}
