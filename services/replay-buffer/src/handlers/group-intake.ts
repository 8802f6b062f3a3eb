import type { RunState, StreamedGroup } from '@forge/broker';
import { decode, groupSchema, versionsOf, type Group } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Logger } from '@forge/telemetry';
import { toCandidate, type Candidate, type Judge } from '../domain/candidate';
import type { BatchFormer } from './batch-former';

export interface GroupIntakeOptions {
  runState: Pick<RunState, 'runId' | 'readGroups' | 'storeGroup' | 'rejectGroup'> & {
    weights: Pick<RunState['weights'], 'disagreement'>;
  };
  algorithm: Judge;
  batches: Pick<BatchFormer, 'add' | 'form'>;
  consumer: string;
  logger: Logger;
}

const READ_AT_ONCE = 32;

/** Takes groups off the episodes stream: into the buffer, or to the dead letter when they make no sense. */
export class GroupIntake {
  constructor(private readonly options: GroupIntakeOptions) {}

  /** Handles what is there, waiting up to `blockMs` for some. */
  async turn(blockMs: number): Promise<void> {
    const { runState, batches, consumer } = this.options;
    const entries = await runState.readGroups(consumer, READ_AT_ONCE, blockMs);
    for (const entry of entries) await this.take(entry);
    if (entries.length > 0) await batches.form();
  }

  private async take(entry: StreamedGroup): Promise<void> {
    const { runState, algorithm, batches } = this.options;
    const { entryId, index, payload } = entry;
    let group: Group;
    let candidate: Candidate;
    try {
      group = groupOf(entry, runState.runId);
      candidate = toCandidate(group, algorithm);
    } catch (error) {
      // It depends on the message alone, and on what the algorithm makes of it: trying again would give the same.
      return this.reject(entry, error);
    }
    const foreign = await runState.weights.disagreement(group.weights);
    if (foreign !== null)
      return this.reject(entry, invalid(`group ${index}: tokens are of ${foreign}`, { index }));
    if ((await runState.storeGroup(entryId, { ...candidate }, payload)) === 'stored') batches.add(candidate);
  }

  private async reject({ entryId, index, payload }: StreamedGroup, error: unknown): Promise<void> {
    const { runState, logger } = this.options;
    logger.error({ err: error, index }, 'group rejected');
    const { code, message } = ForgeError.from(error);
    const group = { entryId, index: Number.isSafeInteger(index) && index >= 0 ? index : null };
    await runState.rejectGroup(group, 'invalid', { code, message, attempts: 1, payload });
  }
}

function groupOf({ index, payload }: StreamedGroup, runId: string): Group {
  const group = decode(groupSchema, payload, `group ${index}`);
  if (group.runId !== runId || group.index !== index) {
    throw invalid(
      `group ${index} of run ${runId}: the payload is group ${group.index} of run ${group.runId}`,
      { index, runId, found: { index: group.index, runId: group.runId } },
    );
  }
  const [versions, named] = [versionsOf(group.episodes), Object.keys(group.weights).map(Number)];
  if (versions.join() !== named.join()) {
    const message = `group ${index}: tokens are of versions ${versions.join(', ')}, its weights of ${named.join(', ')}`;
    throw invalid(message, { index });
  }
  return group;
}

function invalid(message: string, details: Record<string, unknown>): ForgeError {
  return new ForgeError('CONTRACT_INVALID_MESSAGE', message, details);
}
