import { z } from 'zod';

const mode = z
  .enum(['global_reduce', 'per_rank_reduce', 'per_rank_no_reduce'])
  .default('global_reduce')
  .describe('what is recorded: reduced over all processes, by process, or each value as it comes');

const sink = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('console'), mode }),
  z.strictObject({ kind: z.literal('jsonl'), mode }),
  z.strictObject({ kind: z.literal('tensorboard'), mode }),
  z.strictObject({
    kind: z.literal('mlflow'),
    mode,
    uri: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('of the tracking server; left out: MLFLOW_TRACKING_URI'),
    experiment: z.string().min(1).max(256).default('forge').describe('made where there is none of that name'),
  }),
]);

/** Where the metrics of a run go besides `metrics.jsonl`; `tensorboard` stands for `{ kind: tensorboard }`. */
export const sinkSchema = z.preprocess(
  (value) => (typeof value === 'string' ? { kind: value } : value),
  sink,
);

export type SinkConfig = z.output<typeof sink>;
