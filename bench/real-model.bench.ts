import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { learningCurves, type Curve } from './learning/learning-curves';
import { learningRun, percent, type LearningPoint } from './learning/learning-run';

const PYTHON = process.env.FORGE_BENCH_PYTHON ?? 'python3';
const MODEL = process.env.FORGE_BENCH_MODEL;
const SEEDS = [1, 2] as const;
/** TRL ends there when it has not learnt by then. */
const PEER_SECONDS = 1800;
const CHART = 'docs/real-model.svg';
const DASHES = { 1: 'solid', 2: 'dashed' } as const;
const OURS = { name: 'forge', color: '#2f6fdb' };
const PEER = { name: 'TRL', color: '#d9822b' };

/**
 * `smollm2-grpo` and the same job by TRL, alternating, two seeds: time to 90 % of held-out orders, with our evaluations and
 * without those of TRL. FORGE_BENCH_MODEL is the folder of SmolLM2-135M-Instruct, FORGE_BENCH_PYTHON a Python with trl. Draws
 * the README's curves.
 */
export function run(): void {
  if (MODEL === undefined) return console.log('FORGE_BENCH_MODEL names no folder of SmolLM2-135M-Instruct');
  const hasPeer = spawnSync(PYTHON, ['-c', 'import trl, datasets']).status === 0;
  if (!hasPeer) console.log(`no trl in ${PYTHON}: without it (FORGE_BENCH_PYTHON names another one)`);
  const curves: Curve[] = [];
  const add = (who: typeof OURS, seed: 1 | 2, points: LearningPoint[]): void => {
    const name = `${who.name}, seed ${seed}`;
    curves.push({ name, color: who.color, dash: DASHES[seed], points });
    const { seconds, step, accuracy } = points.at(-1)!;
    const reached = points.find((point) => point.accuracy >= 0.9);
    console.log(
      `${name}: ${percent(points[0]!.accuracy)} -> ${percent(accuracy)}, 90 % after ${reached?.seconds.toFixed(0) ?? '-'} s, ${step} steps in ${seconds.toFixed(0)} s`,
    );
  };
  for (const seed of SEEDS) {
    add(OURS, seed, learningRun('smollm2-grpo', [`seed=${seed}`, `model=${MODEL}`]).points);
    if (hasPeer) add(PEER, seed, peerRun(MODEL, seed));
    writeFileSync(CHART, learningCurves(curves, 0));
  }
  console.log(`curves in ${CHART}`);
}

function peerRun(model: string, seed: number): LearningPoint[] {
  const script = join('bench', 'peers', 'trl-orders.py');
  const { status, stdout } = spawnSync(PYTHON, [script, model, String(PEER_SECONDS), String(seed)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`${script} ended with ${status}`);
  const lines = stdout.split('\n').filter((line) => line.startsWith('{"step"'));
  return lines.map((line) => JSON.parse(line) as LearningPoint);
}
