import { endpoint, ForgeActor } from '@forge/actors';
import { check, episodeVersion } from '@forge/contracts';
import { EpisodeBuffer as Buffer, type EpisodeBufferOptions, type EpisodeBufferState } from '@forge/rl';
import { trainingEpisodeSchema, type TrainingEpisode } from '../training-episode';

export type EpisodeBufferConfig = Omit<EpisodeBufferOptions<TrainingEpisode>, 'versionOf'>;

/** Episodes on their way to the trainer. The version of an episode is that of its oldest token. */
export class EpisodeBuffer extends ForgeActor {
  private readonly buffer: Buffer<TrainingEpisode>;

  /** @throws {ForgeError} CONFIG_INVALID for a size that is no whole number of at least 1. */
  constructor(config: EpisodeBufferConfig) {
    super();
    this.buffer = new Buffer<TrainingEpisode>({ ...config, versionOf: episodeVersion });
  }

  @endpoint()
  add(episode: TrainingEpisode): void {
    this.buffer.add(check(trainingEpisodeSchema, episode, 'episode'));
  }

  /** One batch per data-parallel rank, of what is fresh enough for `policyVersion`; null while there are too few. */
  @endpoint()
  sample(policyVersion: number): TrainingEpisode[][] | null {
    return this.buffer.sample(policyVersion);
  }

  /** Removes what is too old for `policyVersion` or was drawn as often as it may be; how many episodes. */
  @endpoint()
  evict(policyVersion: number): number {
    return this.buffer.evict(policyVersion);
  }

  @endpoint()
  clear(): void {
    this.buffer.clear();
  }

  /** Episodes in the buffer. */
  @endpoint({ idempotent: true })
  length(): number {
    return this.buffer.size;
  }

  /** The episode at a position, oldest first, counted from the end where it is negative; null when there is none. */
  @endpoint({ idempotent: true })
  at(position: number): TrainingEpisode | null {
    return this.buffer.at(position) ?? null;
  }

  /** All of it, for a checkpoint. */
  @endpoint({ idempotent: true })
  state(): EpisodeBufferState<TrainingEpisode> {
    return this.buffer.state();
  }

  /** Goes on exactly where the buffer of that state was. */
  @endpoint({ idempotent: true })
  restore(state: EpisodeBufferState<TrainingEpisode>): void {
    this.buffer.restore(state);
  }
}
