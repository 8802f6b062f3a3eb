import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { thisProc } from '@forge/actors';
import type { EngineName } from '@forge/engine';
import { initializeAdapter, loadModel } from '@forge/model';
import { Policy, Trainer } from '@forge/rl-actors';
import { WeightStore } from '@forge/weights';
import { seededAdapterSchema, type SeededAdapter } from '@forge/config';

export const LENGTH = 64;
export const TOKENS = 2048;
export const ROWS = 32;
export const PROMPT = '12+34=';

/** The arguments of Node that run this file. */
export function childArguments(...args: string[]): string[] {
  const jiti = join(dirname(require.resolve('jiti/package.json')), 'lib', 'jiti-cli.mjs');
  return [jiti, __filename, ...args];
}

/** The largest resident size of this process so far. */
function peakBytes(): number {
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
}

/** Rank of the adapter that is trained; 0 is the whole model. */
function adapterOf(rank: string | undefined): SeededAdapter | undefined {
  return Number(rank ?? 0) === 0 ? undefined : seededAdapterSchema.parse({ rank: Number(rank) });
}

async function train(
  model: string,
  engine: EngineName,
  dir: string,
  adapter: SeededAdapter | undefined,
): Promise<void> {
  const optimizer = { engine, learningRate: 1e-5, warmupSteps: 0, microBatchTokens: TOKENS };
  const trainer = await thisProc().spawn('trainer', Trainer, { model, dir, optimizer, adapter });
  await trainer.publishWeights.callOne();
  const isTrained = (t: number): boolean => t > LENGTH / 4;
  const positions = Array.from({ length: LENGTH + 1 }, (_, t) => t);
  for (const version of [0, 1]) {
    const episodes = Array.from({ length: TOKENS / LENGTH }, (_, k) => ({
      tokenIds: Int32Array.from(positions, (t) => 2 + ((t * 7 + k * 13) % 16)),
      mask: Uint8Array.from(positions, (t) => Number(isTrained(t))),
      logprobs: Float32Array.from(positions, (t) => (isTrained(t) ? -3 : 0)),
      versions: Int32Array.from(positions, (t) => (isTrained(t) ? version : -1)),
      reward: 0,
      rewards: {},
      text: '',
      advantage: k % 2 === 0 ? 1 : -1,
    }));
    await trainer.trainStep.callOne(episodes);
    await trainer.publishWeights.callOne();
  }
  await trainer.stop();
}

/** Another process publishes, as in a run. */
function publish(model: string, dir: string, version: number, rank: number) {
  const args = childArguments('publish', model, dir, String(rank), String(version));
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Awaited<ReturnType<WeightStore['publish']>>;
}

async function generate(
  model: string,
  engine: EngineName,
  dir: string,
  adapter: SeededAdapter | undefined,
): Promise<void> {
  const sampling = { maxTokens: LENGTH - PROMPT.length, n: ROWS };
  const weights = adapter === undefined ? ('initializers' as const) : ('inputs' as const);
  const worker = { model, adapter, engine, maxBatch: ROWS, threads: 2, weights };
  const policy = await thisProc().spawn('policy', Policy, { worker, sampling });
  for (const version of [0, 1]) {
    await policy.applyWeights.callOne(publish(model, dir, version, adapter?.rank ?? 0));
    await policy.generate.callOne(PROMPT);
  }
  await policy.stop();
}

async function main([kind, model, given, rank, version]: string[]): Promise<void> {
  const adapter = adapterOf(rank);
  if (kind === 'publish') {
    const loaded = await loadModel(model!);
    const parameters = adapter ? initializeAdapter(loaded.config, adapter) : loaded.parameters;
    for (const { data } of parameters.values()) data[0] = data[0]! + Number(version) / 1000;
    const published = await new WeightStore({ dir: given!, keep: 2 }).publish(Number(version), 1, parameters);
    process.stdout.write(JSON.stringify(published));
    return;
  }
  const dir = mkdtempSync(join(tmpdir(), 'forge-memory-'));
  try {
    const engine = given as EngineName;
    await (kind === 'trainer' ? train : generate)(model!, engine, dir, adapter);
    process.stdout.write(`${peakBytes()}\n`);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

if (process.argv[1] === __filename) void main(process.argv.slice(2)).then(() => process.exit(0));
