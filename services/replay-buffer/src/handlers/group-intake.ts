import type { RunState, StreamedGroup } from '@forge/broker';
import { decode, groupSchema, type Group, type TraceOrigin } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { endRollout, keptOrigin, logIds, type Logger } from '@forge/telemetry';
import { toCandidate, type Candidate, type Judge } from '../domain/candidate';
import type { BatchFormer } from './batch-former';

export interface GroupIntakeOptions {
  runState: Pick<RunState, 'runId' | 'readGroups' | 'storeGroup' | 'rejectGroup'>;
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
    const { runState, algorithm, batches, logger } = this.options;
    const { entryId, index, payload } = entry;
    let candidate: Candidate;
    let trace: TraceOrigin | undefined;
    try {
      const received = groupOf(entry, runState.runId);
      trace = received.trace;
      candidate = {
        ...toCandidate(received, algorithm),
        ...(trace && { trace: { ...trace, cameAtMs: cameAtMs(entryId) } }),
      };
    } catch (error) {
      // It depends on the message alone, and on what the algorithm makes of it: trying again would give the same.
      logger.error({ err: error, index, ...logIds(trace) }, 'group rejected');
      const { code, message } = ForgeError.from(error);
      const group = { entryId, index: Number.isSafeInteger(index) && index >= 0 ? index : null };
      await runState.rejectGroup(group, 'invalid', { code, message, attempts: 1, payload });
      const end = { 'forge.rollout.index': index, 'forge.rollout.end': 'invalid' };
      endRollout(trace && keptOrigin(trace), end, { code, message });
      return;
    }
    if ((await runState.storeGroup(entryId, { ...candidate }, payload)) === 'stored') batches.add(candidate);
  }
}

/** An entry's id begins with the time at which the stream got it. */
function cameAtMs(entryId: string): number {
  return Number(entryId.split('-')[0]);
}

function groupOf({ index, payload }: StreamedGroup, runId: string): Group {
  const group = decode(groupSchema, payload, `group ${index}`);
  if (group.runId === runId && group.index === index) return group;
  throw new ForgeError(
    'CONTRACT_INVALID_MESSAGE',
    `group ${index} of run ${runId}: the payload is group ${group.index} of run ${group.runId}`,
    { index, runId, found: { index: group.index, runId: group.runId } },
  );
}
