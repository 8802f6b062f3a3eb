import { z } from 'zod';

const heldOut = z.int().min(0).max(100_000);

const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .optional();

const draws = {
  explore: z
    .number()
    .gt(0)
    .max(1)
    .default(0.1)
    .describe('share of draws that follow the order of the task, so that no sample is forgotten'),
  repeatAfter: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(4096)
    .describe('draws after a result before its sample may be chosen again; at most half of the task'),
};

/** On where it is given, `{}` with its defaults. */
const curriculumOf = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z
    .strictObject(shape)
    .optional()
    .describe('prefers samples whose groups are likely informative; `{}` is on, left out is off');

const arithmetic = z.strictObject({
  kind: z.literal('arithmetic'),
  operators: z
    .array(z.enum(['+', '-', '*']))
    .min(1)
    .default(['+', '-'])
    .describe('operators of the problems'),
  maxDigits: z.int().min(1).max(6).default(2).describe('digits of the longer operand'),
  heldOut: heldOut.default(256).describe('problems kept for evaluation, never trained on'),
  curriculum: curriculumOf(draws),
});

const file = z.string().min(1);
const files = z.array(file).min(1).max(10_000).optional();

const dataset = z
  .strictObject({
    kind: z.literal('dataset'),
    path: file
      .optional()
      .describe(
        'file of samples, relative to the working directory: Parquet by .parquet, CSV by .csv or .tsv, else one JSON object a line',
      ),
    heldOutPath: file.optional().describe('file with the evaluation samples'),
    dataset: file
      .optional()
      .describe(
        'in place of path: org/name or org/name@revision on the Hugging Face hub; a run notes the commit',
      ),
    subset: file
      .optional()
      .describe('the part of the data set, where it has several: a folder, or a word of the file names'),
    split: file.default('train').describe('files of the data set that are trained on, by their names'),
    heldOutSplit: file
      .optional()
      .describe('files of the data set with the evaluation samples, by their names'),
    files: files.describe('files of the data set that are trained on, in place of split; a run notes them'),
    heldOutFiles: files.describe('the same in place of heldOutSplit'),
    promptField: z
      .string()
      .min(1)
      .default('question')
      .describe(
        'field or column that holds the prompt, a text or a list of messages; dots lead inside: messages.0.content',
      ),
    answerField: z
      .string()
      .min(1)
      .optional()
      .describe(
        'field or column that holds the reference answer: a text, a number, true or false; dots lead inside',
      ),
    answerPattern: z
      .string()
      .min(1)
      .optional()
      .describe('regular expression whose first group is the answer inside answerField'),
    systemPrompt: z
      .string()
      .optional()
      .describe('system message; makes every prompt a chat, and is added to messages without one'),
    sha256: sha256.describe(
      'hash of the file at path, or of all files one behind the other, which is refused with another one; a run notes it at its start',
    ),
    heldOutSha256: sha256.describe('the same for the evaluation samples'),
    heldOut: heldOut
      .default(0)
      .describe('samples kept for evaluation when heldOutPath and heldOutSplit are not given'),
    curriculum: curriculumOf({
      ...draws,
      field: z
        .string()
        .min(1)
        .optional()
        .describe(
          'field or column that says how hard a sample is, in few different values: a subject, a level; samples of one value are judged by each other',
        ),
    }),
  })
  .superRefine((task, context) => {
    const refuse = (key: string, message: string): void => {
      context.addIssue({ code: 'custom', path: [key], message });
    };
    if (task.path === undefined && task.dataset === undefined)
      refuse('path', 'a text, or a name on the Hugging Face hub as dataset');
    if (task.dataset === undefined) {
      for (const key of ['subset', 'heldOutSplit', 'files', 'heldOutFiles'] as const)
        if (task[key] !== undefined) refuse(key, 'none beside path; it is about a dataset of the hub');
    } else {
      for (const key of ['path', 'heldOutPath'] as const)
        if (task[key] !== undefined) refuse(key, 'none beside dataset, whose files split and files name');
    }
  });

const prompts = z.strictObject({
  kind: z.literal('prompts'),
  prompts: z.array(z.string().min(1)).min(1).describe('texts the policy continues'),
  curriculum: curriculumOf(draws),
});

/** `jsonl` is the older name of `dataset`. */
function renamed(value: unknown): unknown {
  const isOld = typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'jsonl';
  return isOld ? { ...value, kind: 'dataset' } : value;
}

/** Where samples come from. */
export const taskSchema = z
  .preprocess(renamed, z.discriminatedUnion('kind', [arithmetic, dataset, prompts]))
  .describe('where samples come from');

export type TaskConfig = z.output<typeof taskSchema>;
export type DatasetTaskConfig = Extract<TaskConfig, { kind: 'dataset' }>;
