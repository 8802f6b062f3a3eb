import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { samplingSchema } from '@forge/contracts';
import { createEngine } from '@forge/engine';
import { Generator, initializeParameters, type ModelConfig } from '@forge/model';
import { InferenceSession } from 'onnxruntime-node';

export interface GenerationOptions {
  rows: number;
  /** Generated per row. */
  tokens: number;
  threads: number;
  rounds: number;
}

const PROMPT_TOKENS = 36;
const CHUNK = 32;
const MIB = 2 ** 20;

/** The shape of SmolLM2-135M, with random weights. */
export const smolLm2Shape: ModelConfig = {
  architecture: 'llama',
  hiddenSize: 576,
  layers: 30,
  heads: 9,
  kvHeads: 3,
  headDim: 64,
  intermediateSize: 1536,
  vocabSize: 49_152,
  maxPositions: 512,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 10_000, scaling: { type: 'none' } },
  tieWordEmbeddings: true,
  attentionBias: false,
  attentionOutputBias: false,
  mlpBias: false,
  qkNorm: false,
  initializerRange: 0.02,
};

/** One event of a profile of onnxruntime; `dur` in microseconds. */
interface ProfileEvent {
  cat: string;
  name: string;
  dur: number;
  args: { op_name?: string };
}

function residentMib(): string {
  return `${(process.memoryUsage().rss / MIB).toFixed(0)} MiB`;
}

async function create(threads: number, rows: number): Promise<Generator> {
  return Generator.create({
    engine: createEngine({ threads }),
    config: smolLm2Shape,
    parameters: initializeParameters(smolLm2Shape, 1),
    version: 0,
    endTokenIds: [],
    maxBatch: rows,
    chunk: CHUNK,
    weightMode: 'initializers',
    decodeText: String,
  });
}

async function generate(
  generator: Generator,
  { rows, tokens }: GenerationOptions,
  seed: number,
): Promise<void> {
  await generator.generate({
    promptTokenIds: Array.from({ length: PROMPT_TOKENS }, (_, i) => 100 + i * 7),
    rolloutIds: Array.from({ length: rows }, (_, i) => `r-${i}`),
    seed,
    sampling: samplingSchema.parse({ maxTokens: tokens }),
  });
}

/** Milliseconds of each kind of op in one generation, the longest first; loops count as what is in them. */
async function profile(options: GenerationOptions): Promise<[string, number][]> {
  const dir = mkdtempSync(join(tmpdir(), 'forge-profile-'));
  const sessions: InferenceSession[] = [];
  const plain = InferenceSession.create.bind(InferenceSession) as (
    ...args: unknown[]
  ) => Promise<InferenceSession>;
  const profiled = async (model: unknown, settings: object): Promise<InferenceSession> => {
    const profileFilePrefix = join(dir, 'profile');
    const session = await plain(model, { ...settings, enableProfiling: true, profileFilePrefix });
    sessions.push(session);
    return session;
  };
  try {
    Object.assign(InferenceSession, { create: profiled });
    const generator = await create(options.threads, options.rows);
    Object.assign(InferenceSession, { create: plain });
    await generate(generator, options, 1);
    for (const session of sessions) session.endProfiling();
    await generator.close();
    const totals = new Map<string, number>();
    for (const file of readdirSync(dir)) {
      for (const { cat, name, dur, args } of JSON.parse(
        readFileSync(join(dir, file), 'utf8'),
      ) as ProfileEvent[]) {
        const op = args?.op_name ?? 'Loop';
        if (cat === 'Node' && name.endsWith('kernel_time') && op !== 'Loop')
          totals.set(op, (totals.get(op) ?? 0) + dur / 1000);
      }
    }
    return [...totals].sort(([, a], [, b]) => b - a);
  } finally {
    Object.assign(InferenceSession, { create: plain });
    rmSync(dir, { recursive: true });
  }
}

/** Prints tokens/s, CPU time of a token step, memory by part, and the time of each kind of op. */
export async function measure(options: GenerationOptions): Promise<void> {
  const { rows, tokens, threads, rounds } = options;
  console.log(`SmolLM2-135M's shape, ${rows} rows of ${tokens} tokens, ${threads} threads`);
  console.log(`memory at the start:          ${residentMib()}`);
  const generator = await create(threads, rows);
  console.log(`with the program:             ${residentMib()}`);
  const speeds: number[] = [];
  const steps: number[] = [];
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    const [startedAt, cpu] = [performance.now(), process.cpuUsage()];
    await generate(generator, options, round);
    const { user, system } = process.cpuUsage(cpu);
    if (round === 0) continue;
    speeds.push((1000 * rows * tokens) / (performance.now() - startedAt));
    steps.push((user + system) / 1000 / tokens);
  }
  console.log(`after ${rounds + 1} generations:          ${residentMib()}`);
  console.log(`tokens/s, best of ${rounds}:          ${Math.max(...speeds).toFixed(0)}`);
  console.log(`CPU time of a step, least:    ${Math.min(...steps).toFixed(1)} ms`);
  await generator.close();
  const groups = await profile(options);
  const total = groups.reduce((sum, [, ms]) => sum + ms, 0);
  for (const [op, ms] of groups.slice(0, 12))
    console.log(
      `  ${op.padEnd(30)} ${((100 * ms) / total).toFixed(1).padStart(5)} %  ${(ms / tokens).toFixed(2)} ms a step`,
    );
}

/**
 * Generation at the size of a real model: tokens/s and the CPU time of a token step, resident memory by part, and the
 * share of each kind of op from onnxruntime's profile of one more generation. On a busy machine compare CPU times of
 * runs that alternate; the profile's milliseconds contain the waiting.
 */
export function run(): Promise<void> {
  return measure({ rows: 32, tokens: 64, threads: 2, rounds: 3 });
}
