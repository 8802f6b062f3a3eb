import type { RedisMemory } from '@forge/broker';
import { candidatesPerBatch, usesReference, type Recipe } from '@forge/config';
import { SHOWN_COMPLETIONS, SHOWN_TOKENS } from '@forge/contracts';
import { ForgeError } from '@forge/errors';

/** Bytes of one token of an episode: id 4, mask 1, log-prob 4, version 4, text about 4. */
const TOKEN_BYTES = 17;
/** Bytes of its log-prob under the reference model. */
const REFERENCE_BYTES = 4;
const EPISODE_BYTES = 512;
/** A job with its sample, what BullMQ keeps beside it included. */
const JOB_BYTES = 2_048;
const EVENT_BYTES = 512;
/** Events of a step that show no rollout: its own, and what six services report. */
const OTHER_EVENTS = 7;
const SPAN_BYTES = 800;
/** A record of the ledger. */
const RECORD_BYTES = 128;
const PAYLOAD_CAP = 65_536;
const TEXT_BYTES_PER_TOKEN = 4;
/** Msgpack of a token that is shown: text, log-prob, version. */
const SHOWN_TOKEN_BYTES = 20;
/** What the allocator of Redis takes beyond what is asked for. */
const OVERHEAD = 1.3;

/** Bytes of Redis memory a run may take at most, in parts; `total` with what the allocator adds. */
export interface MemoryNeed {
  groups: number;
  jobs: number;
  telemetry: number;
  history: number;
  spans: number;
  deadLetters: number;
  total: number;
}

/**
 * What a run may hold in Redis when every one of its limits is reached: groups held x completions x tokens, the jobs
 * in flight and kept, telemetry, the records of the ledger, and dead letters. Prompts as long as `promptTokens`.
 */
export function memoryNeed(recipe: Recipe, promptTokens: number): MemoryNeed {
  const { limits, algorithm, sampling, maxStaleness, output, steps, tracing } = recipe;
  const candidates = candidatesPerBatch(recipe);
  const tokens = promptTokens + sampling.maxTokens;
  const episode = tokens * (TOKEN_BYTES + (usesReference(recipe) ? REFERENCE_BYTES : 0)) + EPISODE_BYTES;
  const group = algorithm.groupSize * episode;
  const held = Math.min(limits.heldGroups, (maxStaleness + 1) * candidates, steps * candidates);
  // Admitted ones, as many discarded as trained.
  const made = 2 * steps * candidates;
  const shown = output.sampleRollouts / (output.sampleRollouts + OTHER_EVENTS);
  const shownTokens = Math.min(
    Math.min(algorithm.groupSize, SHOWN_COMPLETIONS) *
      Math.min(sampling.maxTokens, SHOWN_TOKENS.perCompletion),
    SHOWN_TOKENS.perRollout,
  );
  const rolloutEvent = algorithm.groupSize * tokens * TEXT_BYTES_PER_TOKEN + shownTokens * SHOWN_TOKEN_BYTES;
  const job = JOB_BYTES + promptTokens * TEXT_BYTES_PER_TOKEN;
  const parts = {
    groups: held * group,
    jobs: (Math.min(limits.queuedGroups, held) + Math.min(limits.completedJobs, made)) * job,
    telemetry: limits.telemetryEvents * (EVENT_BYTES + shown * rolloutEvent),
    history: Math.min(limits.historyGroups, made) * RECORD_BYTES,
    spans: tracing.sampleRatio === 0 ? 0 : limits.spans * SPAN_BYTES,
    deadLetters: limits.deadLetters * Math.max(job, Math.min(group, PAYLOAD_CAP)),
  };
  return { ...parts, total: Math.ceil(OVERHEAD * Object.values(parts).reduce((a, b) => a + b, 0)) };
}

/** The limits that a part of the need comes from. */
const LIMITS_OF: Readonly<Record<string, string>> = {
  groups: 'limits.heldGroups',
  jobs: 'limits.completedJobs',
  telemetry: 'limits.telemetryEvents',
  history: 'limits.historyGroups',
  spans: 'limits.spans',
  deadLetters: 'limits.deadLetters',
};

/**
 * Whether a run fits into its Redis: null, or a warning where Redis has no limit of its own and the machine less memory
 * than the run may take.
 *
 * @throws {ForgeError} CONFIG_INVALID when the run may take more than Redis has left. With `noeviction`, which is
 *   required, a full Redis refuses every write, and the run would fail in the middle.
 */
export function checkMemory(
  need: MemoryNeed,
  { maxBytes, usedBytes, systemBytes }: RedisMemory,
): string | null {
  const { total, ...parts } = need;
  const [largest] = Object.entries(parts).sort(([, a], [, b]) => b - a);
  const limit = LIMITS_OF[largest![0]]!;
  const takes = `the run may take ${mebibytes(total)} of Redis memory, most of it by ${limit}`;
  if (maxBytes === null) {
    if (total <= systemBytes - usedBytes) return null;
    return `${takes}; Redis has no maxmemory, and its machine ${mebibytes(systemBytes)}`;
  }
  const freeBytes = maxBytes - usedBytes;
  if (total <= freeBytes) return null;
  throw new ForgeError(
    'CONFIG_INVALID',
    `${takes}, and Redis has ${mebibytes(Math.max(0, freeBytes))} left of its maxmemory ${mebibytes(maxBytes)}; raise maxmemory or lower ${limit}`,
    { field: limit, need, maxBytes, usedBytes },
  );
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20).toLocaleString('en-US')} MiB`;
}
