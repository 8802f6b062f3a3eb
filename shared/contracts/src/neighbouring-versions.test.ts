import type { ForgeError } from '@forge/errors';
import { z } from 'zod';
import { EPISODE } from './any-messages.fixture';
import { check, decode, encode } from './codec';
import { groupSchema } from './episode';
import { rolloutJobSchema, telemetryEventSchema } from './messages';
import { SCHEMA_VERSION } from './schema-version';
import { weightsManifestSchema } from './weights';

const own = SCHEMA_VERSION.group;
const group = {
  schemaVersion: own,
  runId: 'r',
  index: 0,
  sampleId: 's',
  promptText: '',
  episodes: [EPISODE, EPISODE],
  replica: '0',
  weightHashes: { 7: 'a'.repeat(64) },
};
const job = {
  kind: 'rollout',
  schemaVersion: SCHEMA_VERSION.rolloutJob,
  index: 1,
  sample: { id: 's', prompt: [{ role: 'user', content: 'a' }] },
  minVersion: 0,
};
const reasonOf = (schema: z.ZodType, message: unknown): unknown => {
  try {
    check(schema, message, 'it');
    return null;
  } catch (error) {
    return (error as ForgeError).details['reason'];
  }
};

describe('a message of the version after this one', () => {
  const later = own + 1;

  it('is read, without the fields that it adds', () => {
    const message = {
      ...group,
      schemaVersion: later,
      added: { deep: [1] },
      episodes: [{ ...EPISODE, added: 1 }, EPISODE],
    };
    expect(decode(groupSchema, encode(message), 'group')).toEqual(group);
    expect(message.episodes[0]).toHaveProperty('added');
  });

  it('is read where it adds a field to one of several forms of a prompt', () => {
    const prompt = [{ role: 'user', content: 'a', added: true }];
    const message = { ...job, schemaVersion: job.schemaVersion + 1, sample: { ...job.sample, prompt } };
    expect(check(rolloutJobSchema, message, 'job')).toEqual(job);
  });

  it('is refused where anything else is wrong with it', () => {
    const wrong = { ...group, schemaVersion: later, added: 1, index: -1 };
    expect(reasonOf(groupSchema, wrong)).toBe('wrong-shape');
    const lacking = { ...group, runId: undefined, schemaVersion: later, added: 1 };
    expect(reasonOf(groupSchema, lacking)).toBe('wrong-shape');
    const mixed = { ...EPISODE, mask: Uint8Array.of(0, 0, 0), added: 1 };
    expect(reasonOf(groupSchema, { ...group, schemaVersion: later, episodes: [mixed] })).toBe('wrong-shape');
  });
});

describe('a message of the version before this one', () => {
  it('is read, and counts as one of this version', () => {
    expect(check(groupSchema, { ...group, schemaVersion: own - 1 }, 'group')).toEqual(group);
  });

  it('may not have fields that nobody knows; neither may one of this version', () => {
    for (const schemaVersion of [own - 1, own])
      expect(reasonOf(groupSchema, { ...group, schemaVersion, added: 1 })).toBe('wrong-shape');
  });
});

describe('a message of any other version', () => {
  it.each([own - 2, own + 2, 0, -1, own + 0.5, NaN, String(own), null, undefined])(
    'is refused: %p',
    (version) => {
      expect(reasonOf(groupSchema, { ...group, schemaVersion: version })).toBe('wrong-version');
    },
  );

  it('is there no version 0', () => {
    expect(reasonOf(rolloutJobSchema, { ...job, schemaVersion: 0 })).toBe('wrong-version');
  });
});

it('holds manifests of weights to the same', () => {
  const manifest = {
    schemaVersion: 2,
    version: 0,
    epoch: 1,
    sha256: 'a'.repeat(64),
    sizeBytes: 1,
    parent: null,
    trained: null,
    tensors: [],
    added: 1,
  };
  expect(check(weightsManifestSchema, manifest, 'manifest')).not.toHaveProperty('added');
});

it('passes over fields that an event of telemetry adds, as it has no version', () => {
  const event = { kind: 'step', step: 1, values: {}, added: 1 };
  expect(check(telemetryEventSchema, event, 'event')).toEqual({ kind: 'step', step: 1, values: {} });
});
