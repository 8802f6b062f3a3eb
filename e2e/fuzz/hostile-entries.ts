import {
  batchSchema,
  checkSpanLine,
  decode,
  encode,
  groupSchema,
  rolloutJobSchema,
  telemetryEventSchema,
  weightsAnnouncementSchema,
  type Group,
  type TelemetryEvent,
  type WeightsAnnouncement,
} from '@forge/contracts';
import { hostileBytes, hostileJson, pick, type Random } from '@forge/testing';
import type { z } from 'zod';

/** Steps, versions and groups that no run gets to. */
const FAR = 10 ** 9;
/** Bound below which a step, an index or a version may exist. */
const NEAR = 10 ** 6;

/** Fields of an entry that is to be refused, and what is wrong with it. */
export interface HostileEntry {
  kind: string;
  fields: (string | Buffer)[];
}

/** Facts of a run that goes on, from which the messages are made. */
export interface RunFacts {
  runId: string;
  /** A group that was trained. */
  trained: Group;
  newestWeights: WeightsAnnouncement;
  /** Groups admitted so far. */
  admitted: number;
}

const far = (random: Random): number => FAR + Math.floor(random() * NEAR);

/** Some entries have no field, or one of another name. */
function entry(random: Random, kind: string, name: string, bytes: Buffer): HostileEntry {
  if (random() < 0.02)
    return { kind: 'no such field', fields: [pick(random, ['', 'x', '__proto__']), bytes] };
  return { kind, fields: [name, bytes] };
}

export function hostileGroup(random: Random, facts: RunFacts): HostileEntry {
  const { runId, trained, admitted } = facts;
  const roll = random();
  const index = far(random);
  const group = { ...trained, runId, index };
  const fieldsOf = (at: number | string, message: unknown) => [
    'index',
    String(at),
    'payload',
    encode(message),
  ];
  if (roll < 0.05) return { kind: 'unknown id', fields: fieldsOf(index, group) };
  if (roll < 0.1) return { kind: 'duplicate', fields: fieldsOf(trained.index, trained) };
  if (roll < 0.15) return { kind: 'of another run', fields: fieldsOf(index, { ...group, runId: 'another' }) };
  if (roll < 0.2) {
    const episodes = trained.episodes.map((one) => ({
      ...one,
      versions: one.versions.map((version) => (version < 0 ? -1 : FAR)),
    }));
    return { kind: 'version to come', fields: fieldsOf(index, { ...group, episodes }) };
  }
  if (roll < 0.25) {
    const at = pick<number | string>(random, ['-1', 'NaN', '1e400', '', '0x10', '7.5', ' ', '9'.repeat(400)]);
    return { kind: 'index that is none', fields: fieldsOf(at, group) };
  }
  // An entry with the index of a group that may be on its way must not pass for that group.
  const isNear = roll < 0.35;
  const base = isNear ? { ...group, runId: 'another' } : group;
  const { kind, bytes } = hostileBytes(random, base, encode);
  const at = isNear ? Math.floor(random() * admitted) : index;
  if (random() < 0.02) return { kind: 'no such field', fields: ['index', String(at), 'load', bytes] };
  return { kind, fields: ['index', String(at), 'payload', bytes] };
}

export function hostileBatch(random: Random): HostileEntry {
  const version = random() < 0.2 ? Math.floor(random() * 100) : far(random);
  const groups = [0, 1, 2].map((index) => ({ index, advantages: [0.5, -0.5] }));
  const batch = { schemaVersion: 4, version, groups, statistics: { 'reward/mean': 0.5 } };
  if (random() < 0.1) return { kind: 'never formed', fields: ['batch', encode(batch)] };
  const { kind, bytes } = hostileBytes(random, batch, encode);
  return entry(random, fits(batchSchema, bytes) ? 'never formed' : kind, 'batch', bytes);
}

export function hostileWeights(random: Random, { newestWeights }: RunFacts): HostileEntry {
  const field = 'announcement';
  const roll = random();
  if (roll < 0.1)
    return { kind: 'version to come', fields: [field, encode({ ...newestWeights, version: far(random) })] };
  if (roll < 0.2)
    return { kind: 'other hash', fields: [field, encode({ ...newestWeights, sha256: 'f'.repeat(64) })] };
  for (;;) {
    const { kind, bytes } = hostileBytes(random, newestWeights, encode);
    // Bytes that fit the schema and have the right hash are an announcement.
    const announced = valueOf(weightsAnnouncementSchema, bytes);
    if (announced?.sha256 !== newestWeights.sha256) return entry(random, kind, field, bytes);
  }
}

const EVENTS = (at: number): TelemetryEvent[] => [
  { kind: 'step', step: at, values: { loss: 1, 'reward/mean': 0.5 } },
  { kind: 'evaluation', version: at, part: 0, parts: 2, correct: 1, total: 4 },
  { kind: 'service', service: `nobody-${at}`, replica: '0', values: { busyMs: 1 } },
  {
    ...{ kind: 'rollout', index: at, version: 0, prompt: '1+1=', texts: ['2', '3'], rewards: [1, 0] },
    rewardsByFunction: [{ exact: 1 }, { exact: 0 }],
    tokens: [{ texts: ['2'], logprobs: [-0.1], versions: [0] }],
  },
  { kind: 'run', state: 'finished' },
  { kind: 'run', state: 'interrupted' },
  { kind: 'waiting', for: null },
  {
    kind: 'progress',
    progress: {
      ...{ step: at, stage: 'training', groups: { done: 1, of: 2 }, tokens: { done: 10, atMost: 20 } },
      ...{ microBatches: { done: 1, of: 2 }, elapsedMs: 100, expectedMs: null },
    },
  },
];

export function hostileTelemetry(random: Random): HostileEntry {
  for (;;) {
    const event = pick(random, EVENTS(far(random)));
    const isWhole = random() < 0.15;
    const { kind, bytes } = isWhole
      ? { kind: 'unknown id', bytes: encode(event) }
      : hostileBytes(random, event, encode);
    const found = valueOf(telemetryEventSchema, bytes);
    if (found === null || isFar(found)) return entry(random, kind, 'event', bytes);
  }
}

function isFar(event: TelemetryEvent): boolean {
  switch (event.kind) {
    case 'step':
      return event.step > NEAR;
    case 'evaluation':
      return event.version > NEAR;
    case 'rollout':
      return event.index > NEAR || event.version > NEAR;
    case 'service':
      return event.service.startsWith('nobody');
    case 'progress':
      return event.progress.step > NEAR;
    case 'run':
      return ['finished', 'failed', 'interrupted'].includes(event.state);
    default:
      return false;
  }
}

/** The stored fields of a job that is to be refused. None: only its id is queued. */
export function hostileJob(random: Random): { kind: string; fields: Record<string, string> } {
  const job =
    random() < 0.7
      ? {
          kind: 'rollout',
          schemaVersion: 1,
          index: far(random),
          minVersion: 0,
          sample: { id: 's', prompt: '1+1=', answer: '2' },
        }
      : {
          kind: 'evaluation',
          schemaVersion: 1,
          minVersion: far(random),
          part: 0,
          parts: 1,
          samples: [{ id: 's', prompt: '1+1=' }],
        };
  const stored = { name: 'rollout', opts: '{"attempts":3}', timestamp: '1', delay: '0', priority: '0' };
  const roll = random();
  if (roll < 0.02) return { kind: 'no such job', fields: {} };
  if (roll < 0.1) {
    const field = pick(random, ['data', 'opts', 'stc', 'ats', 'progress', 'rjk', 'parent']);
    const fields = { ...stored, data: JSON.stringify(job), [field]: pick(random, ['{', 'x', '[1', '"']) };
    return { kind: 'damaged field', fields };
  }
  if (roll < 0.2) return { kind: 'unknown id', fields: { ...stored, data: JSON.stringify(job) } };
  for (;;) {
    const { kind, text } = hostileJson(random, job);
    if (!mayBeDone(text)) return { kind, fields: { ...stored, data: text } };
  }
}

function mayBeDone(text: string): boolean {
  try {
    const { data } = rolloutJobSchema.safeParse(JSON.parse(text === '' ? '{}' : text));
    if (data === undefined) return false;
    return data.minVersion < NEAR && (data.kind === 'evaluation' || data.index < NEAR);
  } catch {
    return false;
  }
}

function valueOf<S extends z.ZodType>(schema: S, bytes: Buffer): z.output<S> | null {
  try {
    return decode(schema, bytes, 'it');
  } catch {
    return null;
  }
}

function fits(schema: z.ZodType, bytes: Buffer): boolean {
  return valueOf(schema, bytes) !== null;
}

/** The group in an encoded form. */
export function groupIn(bytes: Buffer): Group {
  return decode(groupSchema, bytes, 'group');
}

const SPANS = {
  resourceSpans: [
    {
      resource: { attributes: [{ key: 'service.name', value: { stringValue: 'forge-policy' } }] },
      scopeSpans: [{ spans: [{ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), name: 'attempt' }] }],
    },
  ],
};

export function hostileSpans(random: Random): HostileEntry {
  for (;;) {
    const { kind, text } = hostileJson(random, random() < 0.2 ? { resourceSpans: 1 } : SPANS);
    const line = Buffer.from(text);
    try {
      checkSpanLine(line);
    } catch {
      return entry(random, kind, 'line', line);
    }
  }
}
