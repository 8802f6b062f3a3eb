import { samplingSchema } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { loadModel, modelFolder } from '@forge/model';
import { hashSafetensors } from '@forge/weights';
import { withDownloads } from '../with-downloads';
import { showUnappliedSettings } from '../shown/unapplied-settings';
import { dayOf } from '../start-day';
import { localGenerator } from '../sft/local-generator';

export interface GenerateOptions {
  greedy?: boolean;
  temperature: number;
  maxTokens: number;
  seed: number;
  chat?: boolean;
  json?: boolean;
}

/** The same text for the same seed, whatever is installed. */
const ENGINE = { engine: 'onnx', device: 'cpu', threads: 1, mathMode: 'float32' } as const;

/** `forge generate MODEL PROMPT`: one completion. */
export async function generate(name: string, prompt: string, options: GenerateOptions): Promise<number> {
  const sampling = samplingSchema.safeParse({
    temperature: options.greedy ? 0 : options.temperature,
    maxTokens: options.maxTokens,
  });
  if (!sampling.success) {
    const [issue] = sampling.error.issues;
    throw new ForgeError('CONFIG_INVALID', `--${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
  }
  const { dir } = await withDownloads((watch) => modelFolder(name, watch));
  const model = await loadModel(dir, { date: dayOf(new Date()) });
  showUnappliedSettings(model);
  const generator = await localGenerator(model, ENGINE, 'engine');
  const messages = options.chat ? [{ role: 'user' as const, content: prompt }] : prompt;
  const [completion] = await generator.complete(
    [{ id: 'generate', prompt: messages }],
    sampling.data,
    options.seed,
  );
  await generator.close();
  const { text, promptTokenIds, tokenIds, logprobs, stopReason } = completion!;
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ text, promptTokenIds, tokenIds, logprobs, stopReason, weights: hashSafetensors(model.parameters) })}\n`
      : `${text}\n`,
  );
  return 0;
}
