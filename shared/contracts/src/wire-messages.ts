import { z } from 'zod';
import { completionSchema } from './completion';
import { groupSchema } from './episode';
import { batchSchema, deadLetterSchema, rolloutJobSchema, telemetryEventSchema } from './messages';
import { replicaSchema } from './replica';
import { scoreItemsSchema, scoreResultsSchema } from './scoring';
import { keptCallSchema, sessionAnswerSchema, sessionCallSchema } from './session';
import { stepProgressSchema } from './step-progress';
import { weightsAnnouncementSchema, weightsManifestSchema } from './weights';

/** A message as parts in other languages meet it. */
export interface WireMessage {
  schema: z.ZodType;
  encoding: 'msgpack' | 'json';
  /** Stream, hash, queue, file or call in which it travels. */
  place: string;
}

const message = (schema: z.ZodType, encoding: WireMessage['encoding'], place: string): WireMessage => ({
  schema,
  encoding,
  place,
});

/** Every message that crosses a process, by the name of its JSON Schema in `docs/wire`. */
export const WIRE_MESSAGES: Readonly<Record<string, WireMessage>> = {
  'rollout-job': message(rolloutJobSchema, 'json', 'job of the queue rollout'),
  group: message(groupSchema, 'msgpack', 'stream groups, field payload; hash payloads'),
  batch: message(batchSchema, 'msgpack', 'stream batches, field batch'),
  'weights-announcement': message(weightsAnnouncementSchema, 'msgpack', 'stream weights, field announcement'),
  'weights-manifest': message(weightsManifestSchema, 'json', 'file weights/v<version>-e<epoch>.json'),
  'telemetry-event': message(telemetryEventSchema, 'msgpack', 'stream telemetry, field event'),
  'step-progress': message(stepProgressSchema, 'json', 'hash run, field progress'),
  'dead-letter': message(deadLetterSchema, 'msgpack', 'hash dead-letters'),
  replica: message(replicaSchema, 'json', 'hash replicas:<service>'),
  'score-items': message(scoreItemsSchema, 'msgpack', 'argument of score of a reward'),
  'score-results': message(scoreResultsSchema, 'msgpack', 'result of score of a reward'),
  completion: message(completionSchema, 'msgpack', 'result of generate of a policy'),
  'session-call': message(sessionCallSchema, 'msgpack', 'argument of call of the sessions of a policy'),
  'session-answer': message(sessionAnswerSchema, 'msgpack', 'its result'),
  'kept-call': message(keptCallSchema, 'msgpack', 'hash sessions:<group>, field <rollout>:<n>'),
};

/** The JSON Schema of a message, in which typed arrays and bytes are as golden messages show them. */
export function wireSchema(name: string): Record<string, unknown> {
  const { schema, encoding, place } = WIRE_MESSAGES[name]!;
  // Checks that no schema language has are left to the readers; docs/wire.md says them.
  const { $schema, ...rest } = z.toJSONSchema(schema, { unrepresentable: 'any' });
  return { $schema, title: name, description: `${encoding}; ${place}`, ...rest };
}
