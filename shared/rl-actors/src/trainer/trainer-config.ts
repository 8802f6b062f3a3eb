import {
  algorithmSchema,
  keepCheckpoints,
  publishDtype,
  rollbackFields,
  section,
  seededAdapterSchema,
  trainerFields,
  type AlgorithmInput,
} from '@forge/config';
import { weightsAnnouncementSchema } from '@forge/contracts';
import { z } from 'zod';

/** Where to go on from: a published version, or the directory of a checkpoint. */
export const resumePointSchema = z.union([weightsAnnouncementSchema, z.string().min(1)]);

export const trainerConfigSchema = z.strictObject({
  model: z.string().min(1).describe('model training starts from: a directory, or a name on the hub'),
  dir: z.string().min(1).describe('directory for weights and checkpoints'),
  algorithm: algorithmSchema.prefault({ name: 'grpo' }),
  adapter: seededAdapterSchema.optional(),
  optimizer: section(trainerFields({ learningRate: 3e-4, warmupSteps: 10 })),
  temperature: z.number().gt(0).max(10).default(1).describe('that of the sampling whose tokens are trained'),
  steps: z.int().min(1).default(1000).describe('where a linear or cosine schedule ends'),
  maxStaleness: z
    .union([z.int().min(0), z.literal(Infinity)])
    .default(0)
    .describe('policy versions a trained token may be old'),
  rollback: section(rollbackFields).describe('a step beyond its limits is refused and changes nothing'),
  keepVersions: z.int().min(2).default(4).describe('published versions kept on disk'),
  keepSeconds: z.number().min(0).default(3).describe('younger versions are kept, however many they are'),
  epoch: z.int().min(0).default(0).describe('tells trainers apart that follow each other in one directory'),
  canary: z
    .boolean()
    .default(false)
    .describe('announces whole weights with log-probs by which a policy can prove that it uses them'),
  keepCheckpoints,
  publishDtype,
  resumeFrom: resumePointSchema.optional(),
});

export type ResumePoint = z.infer<typeof resumePointSchema>;
/** With every default filled in. */
export type TrainerSettings = z.output<typeof trainerConfigSchema>;
export type TrainerConfig = Omit<z.input<typeof trainerConfigSchema>, 'algorithm'> & {
  algorithm?: AlgorithmInput;
};
