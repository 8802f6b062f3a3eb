import { join } from 'node:path';
import { serveEndpoints } from '@forge/actors';
import { check } from '@forge/contracts';
import { spawnWorker } from '@forge/engine';
import type { ServiceContext, ServiceInstance } from '@forge/service-kit';
import { z } from 'zod';
import type { ReferenceApi } from './reference-worker';

const groupSchema = z
  .array(z.array(z.int().min(0)).min(1))
  .min(1)
  .max(1024);
const requestSchema = z.array(groupSchema).max(4096);

/**
 * Log-probs under the frozen reference model: `logprobs` takes groups of token sequences and gives one array for each
 * sequence. A group is scored by itself: what else is asked for at the moment would change the last bits.
 */
export async function start({ recipe, http, fail }: ServiceContext): Promise<ServiceInstance> {
  const worker = spawnWorker<ReferenceApi>(join(__dirname, 'reference-worker'), { recipe });
  void worker.failed.then(fail);
  await worker.call('load', undefined);
  let busyMs = 0;
  let tokens = 0;
  serveEndpoints(http, {
    logprobs: async (argument) => {
      const startedAt = performance.now();
      const groups = check(requestSchema, argument, 'logprobs request');
      const logprobs = await worker.call('score', groups);
      busyMs += performance.now() - startedAt;
      tokens += groups.flat().reduce((sum, sequence) => sum + sequence.length, 0);
      return logprobs;
    },
  });
  return { ready: () => true, drain: () => worker.terminate(), totals: () => ({ busyMs, tokens }) };
}
