import { z } from 'zod';
import { apiKeyEnv, endpointUrl } from './endpoint';

const timeoutMs = z.int().min(1).max(3_600_000);

/** An environment of an OpenEnv server. */
export const openEnvSchema = z.strictObject({
  name: z.literal('openenv'),
  weight: z.number().default(1).describe('factor of the rewards of its steps in the sum'),
  url: endpointUrl.describe('address of an OpenEnv server, as http://127.0.0.1:8000'),
  apiKeyEnv,
  action: z
    .union([
      z.literal('calls'),
      z.strictObject({ field: z.string().min(1).describe("field of the action that the answer's text is") }),
    ])
    .optional()
    .describe(
      'what of an answer is the action: its text, as one field, or its calls of tools (`calls`); left out: the text where one value is all that the action needs by its schema, else calls',
    ),
  actionErrors: z
    .enum(['fail', 'tell'])
    .default('fail')
    .describe(
      'what becomes of an action for which the server reports an error of its code (EXECUTION_ERROR): the rollout has failed, or the model is told the error and goes on',
    ),
  observation: z
    .string()
    .min(1)
    .optional()
    .describe(
      'field of an observation that the model is told; left out: its only one that says something, if that is a text, else the JSON of all',
    ),
  reset: z
    .record(z.string(), z.unknown())
    .default({})
    .describe('given to reset beside a seed, with {id}, {prompt} and {answer} of the sample in its texts'),
  connectTimeoutMs: timeoutMs.default(10_000).describe('for a connection'),
  timeoutMs: timeoutMs.default(60_000).describe('for the reply to reset or to an action'),
  attempts: z
    .int()
    .min(1)
    .max(20)
    .default(4)
    .describe(
      'to begin an episode, at a server that does not answer or breaks off; a begun one is never begun again',
    ),
  maxConcurrent: z
    .int()
    .min(1)
    .max(4096)
    .optional()
    .describe(
      'episodes of one replica of the policy at the same time; left out: as many as the server has room for',
    ),
  fullWaitMs: z
    .int()
    .min(0)
    .max(86_400_000)
    .default(300_000)
    .describe('how long a group waits for a first place at a server that is full'),
  maxMessageMb: z.int().min(1).max(1024).default(16).describe('size of a message of the server at most'),
});

export type OpenEnvConfig = z.output<typeof openEnvSchema>;
