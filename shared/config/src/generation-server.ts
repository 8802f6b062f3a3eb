import { z } from 'zod';
import { apiKeyEnv, endpointUrl } from './endpoint';
import { engineName } from './sections';

const server = {
  url: z
    .union([endpointUrl, z.array(endpointUrl).min(1).max(256)], {
      error: 'an address as http://127.0.0.1:8000, or a list of them',
    })
    .describe(
      'address of the server, without the path of its API; of several, replica i of the policy takes number i modulo their count',
    ),
  apiKeyEnv,
  timeoutMs: z
    .int()
    .min(1)
    .max(86_400_000)
    .default(600_000)
    .describe('for the answer to a request; a server that takes longer is taken for one that hangs'),
  waitSeconds: z
    .number()
    .min(0)
    .max(86_400)
    .default(60)
    .describe(
      'how long a request waits for a server that is gone, fails or is full, before its job goes back to the queue',
    ),
};

const model = z
  .string()
  .min(1)
  .optional()
  .describe('name the server has the model under; left out: the first that /v1/models tells of');

const updated = {
  update: z
    .enum(['drain', 'pause'])
    .default('drain')
    .describe(
      'drain: new weights wait for the requests under way, so that an answer is of one version; pause: these are ended, and go on from the tokens they have with the new weights; an adapter needs neither',
    ),
  weightsDirectory: z
    .string()
    .min(1)
    .optional()
    .describe('path under which the server has runs/<id>/weights; left out: the one that it has here'),
  canaryTolerance: z
    .number()
    .gt(0)
    .max(10)
    .default(0.25)
    .describe(
      "largest difference of a canary's log-probs from the trainer's after an update: rounding of a server that computes in bfloat16; 0.001 does for float32",
    ),
};

const servers = z
  .strictObject({
    vllm: z
      .strictObject({ ...server, model, ...updated })
      .optional()
      .describe('a vLLM server'),
    sglang: z
      .strictObject({ ...server, ...updated })
      .optional()
      .describe('an SGLang server'),
    openai: z
      .strictObject({ ...server, model })
      .optional()
      .describe(
        "any server with OpenAI's completions, which gives token ids; it takes no weights: for evaluation and distillation",
      ),
  })
  .refine((given) => Object.keys(given).length === 1, { error: 'one of vllm, sglang and openai' });

/** The engine that generates: one of this machine, or a server. */
export const generationEngine = z
  .union([engineName, servers], { error: unionError })
  .default('auto')
  .describe(
    'as that of the trainer; or a server that generates, as { vllm: { url: http://127.0.0.1:8000 } } (docs/generators.md)',
  );

export type GenerationEngine = z.output<typeof generationEngine>;
type Servers = z.output<typeof servers>;
type Server<Kind extends keyof Servers> = { kind: Kind } & NonNullable<Servers[Kind]>;

/** A server that generates, with what is asked of it. */
export type GenerationServer = Server<'vllm'> | Server<'sglang'> | Server<'openai'>;

/** The server that an engine is; null for one of this machine. */
export function generationServer(engine: GenerationEngine): GenerationServer | null {
  if (typeof engine === 'string') return null;
  const { vllm, sglang, openai } = engine;
  if (vllm !== undefined) return { kind: 'vllm', ...vllm };
  if (sglang !== undefined) return { kind: 'sglang', ...sglang };
  return { kind: 'openai', ...openai! };
}

/**
 * The engine as a replica asks it: of several addresses of a server it takes number i modulo their count, with a name that is
 * no number one by its letters.
 */
export function engineOfReplica(engine: GenerationEngine, replica: string): GenerationEngine {
  const server = generationServer(engine);
  if (server === null) return engine;
  const { kind, url, ...asked } = server;
  if (typeof url === 'string') return engine;
  const number = /^\d+$/.test(replica)
    ? Number(replica)
    : [...replica].reduce((sum, letter) => sum + letter.codePointAt(0)!, 0);
  return { [kind]: { ...asked, url: url[number % url.length]! } };
}

/** In words what an engine may be: the first fault of a server, where one was given. */
function unionError({ input, errors }: z.core.$ZodRawIssue): string {
  if (typeof input !== 'object' || input === null)
    return 'one of auto, onnx, tensorflow, or a server as { vllm: { url: http://127.0.0.1:8000 } }';
  const faults = (errors as z.core.$ZodIssue[][] | undefined)?.flat() ?? [];
  const fault = faults.find(({ path, code }) => path.length > 0 || code === 'unrecognized_keys');
  if (fault === undefined) return 'one of vllm, sglang and openai, with its url';
  const keys = fault.code === 'unrecognized_keys' ? ` (${fault.keys.join(', ')})` : '';
  return `another ${fault.path.join('.') || 'server'}${keys}: ${fault.message}`;
}
