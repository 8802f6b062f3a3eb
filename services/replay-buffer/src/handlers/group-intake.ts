import type { RunState, StreamedGroup } from '@forge/broker';
import { decode, groupSchema, invalidMessage, newestVersion, type Group } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { toCandidate, type Candidate, type Judge } from '../domain/candidate';
import type { BatchFormer } from './batch-former';

export interface GroupIntakeOptions {
  runState: Pick<RunState, 'runId' | 'version' | 'readGroups' | 'storeGroup' | 'rejectGroup' | 'rejections'>;
  algorithm: Judge;
  batches: Pick<BatchFormer, 'add' | 'form'>;
  consumer: string;
}

const READ_AT_ONCE = 32;

/** Takes groups off the episodes stream: into the buffer, or to the dead letter when they make no sense. */
export class GroupIntake {
  /** Of the run, as far as it had to be known. */
  private version = -1;

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
    let candidate: Candidate;
    try {
      const group = groupOf(entry, runState.runId);
      await this.checkVersion(group);
      candidate = toCandidate(group, algorithm);
    } catch (error) {
      // It depends on the message alone, and on what the algorithm makes of it: trying again would give the same.
      await this.reject(entry, Number.isSafeInteger(index) && index >= 0 ? index : null, error);
      return;
    }
    const result = await runState.storeGroup(entryId, { ...candidate }, payload);
    if (result === 'stored') batches.add(candidate);
    else if (result === 'duplicate') runState.rejections.count('episodes', 'duplicate');
    else await this.reject(entry, null, invalidMessage('group', 'unknown', `there is no group ${index}`));
  }

  /** A policy has no version that is not committed. */
  private async checkVersion({ index, episodes }: Group): Promise<void> {
    const newest = newestVersion(episodes);
    if (newest <= this.version) return;
    this.version = await this.options.runState.version();
    if (newest <= this.version) return;
    const found = `group ${index} has tokens of version ${newest}, the run is at ${this.version}`;
    throw invalidMessage('group', 'unknown', found);
  }

  private async reject(
    { entryId, payload }: StreamedGroup,
    index: number | null,
    error: unknown,
  ): Promise<void> {
    const { runState } = this.options;
    const failure = ForgeError.from(error);
    const { code, message, details } = failure;
    const reason = typeof details.reason === 'string' ? { reason: details.reason } : {};
    await runState.rejectGroup({ entryId, index }, 'invalid', {
      code,
      message,
      attempts: 1,
      payload,
      ...reason,
    });
    runState.rejections.tell('episodes', failure, 1);
  }
}

function groupOf({ index, payload }: StreamedGroup, runId: string): Group {
  const group = decode(groupSchema, payload, `group ${index}`);
  if (group.runId === runId && group.index === index) return group;
  const found = `the payload is group ${group.index} of run ${group.runId}`;
  throw invalidMessage(`group ${index} of run ${runId}`, 'unknown', found, { index, runId });
}
