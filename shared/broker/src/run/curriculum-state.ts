import type { Redis } from 'ioredis';
import type { RunKeys } from '../keys';
import { parseGroupRecord } from '../groups/group-record';
import * as scripts from '../groups/group-scripts';
import { staleCoordinator } from './group-flow';

/** Field of the hash beside those of the curriculum itself. */
const ASSIGNMENTS = 'assignments';

/** Result of a group of a batch. */
export interface GroupResult {
  /** Place of its sample in the task's order. */
  position: number;
  /** Mean over its rollouts. */
  reward: number;
  informative: boolean;
}

/** Decisions of a curriculum for admitted groups. */
export interface Assignment {
  /** Counts the assignments of the run, from 1. */
  number: number;
  positions: readonly { index: number; position: number }[];
  /** Steps whose results it took in. */
  steps: readonly number[];
  /** Fields of what it knows that changed; null for those that are gone. */
  changes: Readonly<Record<string, string | null>>;
}

/** Knowledge of a run's curriculum, and results on their way to it. */
export class CurriculumState {
  constructor(
    private readonly redis: Redis,
    private readonly keys: RunKeys,
  ) {}

  /** Assignments so far, and what the curriculum knew at the last one, by field. */
  async read(): Promise<{ assignments: number; fields: Record<string, string> }> {
    const { [ASSIGNMENTS]: assignments = 0, ...fields } = await this.redis.hgetall(this.keys.curriculum);
    return { assignments: Number(assignments), fields };
  }

  /** The first index and the first step of the run's state: others than 0 where it went on from a checkpoint. */
  async start(): Promise<{ index: number; step: number }> {
    const [index, made] = await this.redis.hmget(this.keys.run, 'firstKept', 'firstKeptVersion');
    return { index: Number(index ?? 0), step: Number(made ?? 1) - 1 };
  }

  /** Results of the groups of a step's batch, in its order; null while it is not formed. */
  async results(step: number): Promise<GroupResult[] | null> {
    const text = await this.redis.hget(this.keys.results, String(step));
    if (text === null) return null;
    return text.split('\n').map((line) => {
      const [position, reward, informative] = line.split(' ').map(Number);
      return { position: position!, reward: reward!, informative: informative === 1 };
    });
  }

  /** The position of the sample of a group; its index where no curriculum drew it, or its record is forgotten. */
  async positionOf(index: number): Promise<number> {
    const record = await this.redis.hget(this.keys.records, String(index));
    return (record === null ? null : parseGroupRecord(index, record)?.position) ?? index;
  }

  /**
   * Notes the samples of admitted groups and what the curriculum knows now, at once; done again, it changes nothing. False,
   * and nothing is noted, when the assignment before it is not there: a Redis that died has forgotten it.
   *
   * @throws {ForgeError} STALE_EPOCH when another coordinator took over.
   */
  async assign({ number, positions, steps, changes }: Assignment, coordinator: number): Promise<boolean> {
    const { run, records, pending, curriculum, results } = this.keys;
    const args = [
      coordinator,
      ASSIGNMENTS,
      number,
      positions.length,
      ...positions.flatMap(({ index, position }) => [index, position]),
    ];
    args.push(steps.length, ...steps);
    const fields = Object.entries(changes).flatMap(([field, text]) => [
      field,
      text === null ? 0 : 1,
      text ?? '',
    ]);
    const keys = [run, records, pending, curriculum, results];
    const answer = await scripts.assign.run(this.redis, keys, [...args, ...fields]);
    if (answer === 'stale') throw staleCoordinator(coordinator);
    return answer === 'assigned';
  }
}
