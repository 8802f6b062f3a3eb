import { join } from 'node:path';
import { endpoint, ForgeActor } from '@forge/actors';
import { parseConfig, scorerFields } from '@forge/config';
import { check, tokenIdsSchema } from '@forge/contracts';
import type { ReferenceScore } from '@forge/rl';
import type { WorkerHandle } from '@forge/threads';
import { ActivityClock } from '@forge/telemetry';
import { z } from 'zod';
import { openWorker } from '../open-worker';
import type { ReferenceApi } from './reference-worker';

const referenceConfigSchema = z.strictObject({
  model: z.string().min(1).describe('directory of the model, or its name on the hub'),
  ...scorerFields,
  temperature: z.number().gt(0).max(10).default(1).describe('that of the sampling whose tokens are scored'),
  top: z.int().min(0).default(0).describe('likeliest tokens told in each place'),
  topBelow: z.int().min(1).optional().describe('tokens from this id on are not told; left out: all are'),
  logitsChunk: z.int().min(1).default(1024).describe('rows of the LM head computed at once; bounds memory'),
});

export type ReferenceConfig = z.input<typeof referenceConfigSchema>;
/** With every default filled in. */
export type ReferenceSettings = z.output<typeof referenceConfigSchema>;

const sequence = z.union([tokenIdsSchema, z.array(z.int().min(0))]).refine(({ length }) => length > 0);
const sequencesSchema = z.array(sequence).min(1).max(1024);

/** A frozen model that says how likely it finds given tokens. */
export class ReferenceModel extends ForgeActor {
  private readonly settings: ReferenceSettings;
  private worker!: WorkerHandle<ReferenceApi>;
  private tokens = 0;
  private readonly activity = new ActivityClock(['busy']);

  /** @throws {ForgeError} CONFIG_INVALID; from `setup` what `loadModel` throws. */
  constructor(config: ReferenceConfig) {
    super();
    this.settings = parseConfig(referenceConfigSchema, config, 'ReferenceConfig');
  }

  override async setup(): Promise<void> {
    this.worker = await openWorker<ReferenceApi>(join(__dirname, 'reference-worker'), this.settings);
  }

  override async cleanup(): Promise<void> {
    await this.worker.terminate();
  }

  /**
   * The log-prob of every token given those before it; that of a sequence's first is 0. The sequences of a call share
   * forward passes, which decides the last bits: what belongs together, such as a group, comes in one call.
   *
   * Shapes: sequences [N][T], result the same.
   */
  @endpoint({ idempotent: true })
  async logprobs(sequences: readonly ArrayLike<number>[]): Promise<number[][]> {
    return (await this.judged(sequences)).map(({ logprobs }) => [...(logprobs as number[])]);
  }

  /** The same with the `top` likeliest tokens in each place. Shapes: sequences [N][T], result [N]. */
  @endpoint({ idempotent: true })
  judge(sequences: readonly ArrayLike<number>[]): Promise<ReferenceScore[]> {
    return this.judged(sequences);
  }

  private async judged(sequences: readonly ArrayLike<number>[]): Promise<ReferenceScore[]> {
    const checked = check(sequencesSchema, sequences, 'logprobs request');
    const scores = await this.activity.during('busy', () => this.worker.call('judge', checked));
    this.tokens += checked.reduce((sum, sequence) => sum + sequence.length, 0);
    return scores;
  }

  /** `tokens` scored and time spent on it, `busyMs`, since the start, and the rest of the time, `idleMs`. */
  @endpoint({ concurrent: true, idempotent: true })
  stats(): Record<string, number> {
    return { tokens: this.tokens, ...this.activity.totals() };
  }
}
