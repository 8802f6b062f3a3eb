import { episodeSchema, worthSchema } from '@forge/contracts';
import { z } from 'zod';

/** An episode with what it is worth: what the replay buffer keeps and the trainer trains on. */
export const trainingEpisodeSchema = episodeSchema
  .safeExtend({ advantage: worthSchema })
  .refine(
    ({ advantage, tokenIds }) => typeof advantage === 'number' || advantage.length === tokenIds.length,
    {
      error: 'advantage must be a number, or as long as tokenIds',
    },
  );

export type TrainingEpisode = z.infer<typeof trainingEpisodeSchema>;
