import { endpoint, ForgeActor } from '@forge/actors';
import { parseConfig, taskSchema } from '@forge/config';
import { check, type Sample } from '@forge/contracts';
import type { Task } from '@forge/rl';
import { loadTask } from '@forge/recipe-parts';
import { z } from 'zod';

const datasetConfigSchema = z.strictObject({
  task: taskSchema,
  seed: z.int().min(0).max(0xffff_ffff).default(1),
});
const stateSchema = z.strictObject({ position: z.int().min(0) });

export type DatasetConfig = z.input<typeof datasetConfigSchema>;
/** How far a dataset has been read; with task and seed it says what comes next. */
export type DatasetState = z.infer<typeof stateSchema>;

/** An endless, seeded order of training samples, and the samples training never sees. */
export class Dataset extends ForgeActor {
  private readonly settings: z.output<typeof datasetConfigSchema>;
  private task!: Task;
  private position = 0;

  /** @throws {ForgeError} CONFIG_INVALID; from `setup` CONFIG_FILE_UNREADABLE, CONFIG_DATASET_INVALID. */
  constructor(config: DatasetConfig) {
    super();
    this.settings = parseConfig(datasetConfigSchema, config, 'DatasetConfig');
  }

  override async setup(): Promise<void> {
    this.task = await loadTask(this.settings);
  }

  /** The next training sample. */
  @endpoint()
  sample(): Sample {
    return this.task.sample(this.position++);
  }

  /** The first `n` samples kept for evaluation; fewer when there are fewer. */
  @endpoint({ idempotent: true })
  heldOut(n = Infinity): Sample[] {
    return this.task.heldOut.slice(0, n);
  }

  @endpoint({ idempotent: true })
  state(): DatasetState {
    return { position: this.position };
  }

  @endpoint({ idempotent: true })
  restore(state: DatasetState): void {
    this.position = check(stateSchema, state, 'dataset state').position;
  }
}
