import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Recipe } from '@forge/config';
import { findTensorflow } from '@forge/engine';
import { createModel, parameterCount, saveModel, type ModelConfig } from '@forge/model';
import { memoryPlan } from '../services/cli/src/planning/memory-plan';
import { recipeWith } from '../services/cli/src/planning/planning.fixture';
import { childArguments, LENGTH, PROMPT, ROWS, TOKENS } from './memory/measured-service';

const MODEL = join(__dirname, '..', 'models', 'arithmetic');
/** Changes to config.json of models/arithmetic, by the parameters of the result. */
const SIZES: Record<string, object> = {
  '0.5 M': {},
  '30 M': {
    hidden_size: 512,
    intermediate_size: 1408,
    num_hidden_layers: 8,
    num_attention_heads: 8,
    num_key_value_heads: 8,
    head_dim: 64,
    vocab_size: 8192,
  },
};

/** Services, and the rank of the adapter that they have; 0 is none. */
const SERVICES = [
  ['trainer', 0],
  ['policy', 0],
  ['trainer', 16],
  ['policy', 16],
] as const;

async function makeModel(dir: string, changes: object): Promise<ModelConfig> {
  const names = readdirSync(MODEL).filter((name) => name.endsWith('.json'));
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(join(MODEL, name), 'utf8')]));
  const config = {
    ...(JSON.parse(files['config.json']!) as object),
    ...changes,
    max_position_embeddings: 256,
  };
  const model = createModel({ ...files, 'config.json': config }, 1);
  await saveModel(dir, model, { dtype: 'BF16' });
  return model.config;
}

/** The peak memory of a real trainer and a real policy on each installed engine against what `forge plan` says of them. */
export async function run(): Promise<void> {
  const engines = findTensorflow('cpu') === null ? ['onnx'] : ['onnx', 'tensorflow'];
  const recipeOn = (engine: string, rank: number): Recipe =>
    recipeWith(
      `trainer.engine=${engine}`,
      `policy.engine=${engine}`,
      `batch.groups=${TOKENS / LENGTH / 4}`,
      'algorithm.groupSize=4',
      `sampling.maxTokens=${LENGTH - PROMPT.length}`,
      `trainer.microBatchTokens=${TOKENS}`,
      `policy.maxBatch=${ROWS}`,
      ...(rank === 0 ? ['policy.weights=initializers'] : [`adapter.rank=${rank}`, 'policy.weights=inputs']),
    );
  for (const [name, changes] of Object.entries(SIZES)) {
    const dir = mkdtempSync(join(tmpdir(), 'forge-memory-model-'));
    try {
      const config = await makeModel(join(dir, 'model'), changes);
      console.log(`${name} (${parameterCount(config).toLocaleString('en-US')} parameters)`);
      for (const engine of engines) {
        for (const [service, rank] of SERVICES) {
          const args = childArguments(service, join(dir, 'model'), engine, String(rank));
          const measured = Number(execFileSync(process.execPath, args, { encoding: 'utf8' }));
          const plans = memoryPlan(recipeOn(engine, rank), { config, reference: config }, PROMPT.length);
          const planned = plans.find((one) => one.service === service)!.bytes;
          const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0).padStart(6);
          console.log(
            `${service.padEnd(8)} ${engine.padEnd(10)} ${rank === 0 ? 'whole  ' : 'adapter'} planned ${mib(planned)} MiB, measured ${mib(measured)} MiB, ratio ${(planned / measured).toFixed(2)} (target: 0.75 to 1.25)`,
          );
        }
      }
    } finally {
      rmSync(dir, { recursive: true });
    }
  }
}
