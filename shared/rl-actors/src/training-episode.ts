import { episodeSchema } from '@forge/contracts';
import { z } from 'zod';

/** An episode with what it is worth: what the replay buffer keeps and the trainer trains on. */
export const trainingEpisodeSchema = episodeSchema.safeExtend({ advantage: z.number() });

export type TrainingEpisode = z.infer<typeof trainingEpisodeSchema>;
