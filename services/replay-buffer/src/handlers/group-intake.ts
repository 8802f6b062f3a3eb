import type { RunState, StreamedGroup } from '@forge/broker';
import type { Truncated } from '@forge/config';
import { decode, groupSchema, invalidMessage, versionsOf, type Group } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { endRollout, type ActivityClock, type RunTraces } from '@forge/telemetry';
import { toCandidate, type Candidate } from '../domain/candidate';
import type { Judge } from '../domain/judgement';
import type { BatchFormer } from './batch-former';

export interface GroupIntakeOptions {
  runState: Pick<RunState, 'runId' | 'readGroups' | 'storeGroup' | 'rejectGroup' | 'rejections'> & {
    weights: Pick<RunState['weights'], 'disagreement'>;
  };
  algorithm: Judge;
  truncated: Truncated;
  batches: Pick<BatchFormer, 'add' | 'form'>;
  consumer: string;
  traces: Pick<RunTraces, 'kept'>;
  activity: Pick<ActivityClock, 'during'>;
}

const READ_AT_ONCE = 32;

/** Takes groups off the groups stream: into the buffer, or to the dead letters when they are invalid. */
export class GroupIntake {
  constructor(private readonly options: GroupIntakeOptions) {}

  /** Handles what is there, waiting up to `blockMs` for some. */
  async turn(blockMs: number): Promise<void> {
    const { runState, batches, consumer, activity } = this.options;
    const entries = await runState.readGroups(consumer, READ_AT_ONCE, blockMs);
    if (entries.length === 0) return;
    await activity.during('busy', async () => {
      for (const entry of entries) await this.take(entry);
      await batches.form();
    });
  }

  private async take(entry: StreamedGroup): Promise<void> {
    const { runState, algorithm, truncated, batches } = this.options;
    const { entryId, index, payload } = entry;
    let group: Group | undefined;
    let candidate: Candidate;
    try {
      group = groupOf(entry, runState.runId);
      candidate = toCandidate(group, algorithm, truncated);
    } catch (error) {
      // The outcome depends on the message and the algorithm alone: trying again would give the same.
      return this.reject(entry, error, { group });
    }
    const foreign = await runState.weights.disagreement(group.weightHashes);
    if (foreign !== null) {
      // No fault of a policy where Redis forgot the newest versions: policies have them until they go back, too.
      const failure = invalidMessage(`group ${index}`, 'unknown', `tokens are of ${foreign}`);
      return this.reject(entry, failure, { why: 'other-weights', group });
    }
    const { trace } = group;
    if (trace !== undefined) candidate.trace = { ...trace, cameAtMs: cameAtMs(entryId) };
    const result = await runState.storeGroup(entryId, { ...candidate }, payload);
    if (result === 'stored') batches.add(candidate);
    else if (result === 'duplicate') runState.rejections.count('groups', 'duplicate');
    else
      await this.reject(
        { ...entry, index: Number.NaN },
        invalidMessage(`group ${index}`, 'unknown', 'there is no such group'),
      );
  }

  private async reject(
    { entryId, index, payload }: StreamedGroup,
    error: unknown,
    { why = 'invalid', group: read }: { why?: string; group?: Group | undefined } = {},
  ): Promise<void> {
    const { runState, traces } = this.options;
    const failure = ForgeError.from(error);
    const { code, message, details } = failure;
    const reason = typeof details.reason === 'string' ? { reason: details.reason } : {};
    const group = { entryId, index: Number.isSafeInteger(index) && index >= 0 ? index : null };
    const letter = { code, message, attempts: 1, payload, ...reason };
    const isGivenUp = await runState.rejectGroup(group, why, letter);
    if (isGivenUp && read !== undefined) {
      const trace = traces.kept(index, read.trace, cameAtMs(entryId));
      endRollout(trace, { 'forge.rollout.index': index, 'forge.rollout.end': why }, failure);
    }
    runState.rejections.tell('groups', failure, 1);
  }
}

/** An entry's id begins with the time at which the stream got it. */
function cameAtMs(entryId: string): number {
  return Number(entryId.split('-')[0]);
}

function groupOf({ index, payload }: StreamedGroup, runId: string): Group {
  const group = decode(groupSchema, payload, `group ${index}`);
  if (group.runId !== runId || group.index !== index) {
    const found = `the payload is group ${group.index} of run ${group.runId}`;
    throw invalidMessage(`group ${index} of run ${runId}`, 'unknown', found, { index, runId });
  }
  const [versions, named] = [versionsOf(group.episodes), Object.keys(group.weightHashes).map(Number)];
  if (versions.join() !== named.join()) {
    const found = `tokens are of versions ${versions.join(', ')}, its weights of ${named.join(', ')}`;
    throw invalidMessage(`group ${index}`, 'wrong-shape', found, { index });
  }
  return group;
}
