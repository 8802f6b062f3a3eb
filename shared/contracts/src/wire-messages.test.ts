import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { check, decode } from './codec';
import { fromGolden, goldenBytes, goldenFiles, readGolden } from './golden.fixture';
import { WIRE_MESSAGES, wireSchema } from './wire-messages';

const SCHEMAS = join(__dirname, '../../../docs/wire');
const names = Object.keys(WIRE_MESSAGES);

describe('docs/wire', () => {
  it('has the schema of every message, and no other', () => {
    expect(readdirSync(SCHEMAS).sort()).toEqual(names.map((name) => `${name}.schema.json`).sort());
  });

  it.each(names)('says of %s what its schema says (npm run docs writes it)', (name) => {
    const kept: unknown = JSON.parse(readFileSync(join(SCHEMAS, `${name}.schema.json`), 'utf8'));
    expect(kept).toEqual(wireSchema(name));
  });
});

/** Every value a field of `value` deep down could have in its place, wrong by type: one variant for each. */
function* spoiled(value: unknown): Generator<unknown> {
  if (typeof value === 'number') yield 'no number';
  else if (typeof value === 'string') yield { no: 'string' };
  else if (typeof value === 'boolean') yield 'maybe';
  else if (Array.isArray(value))
    for (const [i, one] of value.entries()) for (const wrong of spoiled(one)) yield value.with(i, wrong);
  else if (typeof value === 'object' && value !== null)
    for (const [key, one] of Object.entries(value))
      for (const wrong of spoiled(one)) yield { ...value, [key]: wrong };
}

describe.each(goldenFiles())('the golden message %s', (file) => {
  const golden = readGolden(file);
  const { schema, encoding } = WIRE_MESSAGES[golden.message]!;
  const value = fromGolden(golden.value);
  const bytes = Buffer.from(golden.bytes, 'hex');

  it('is what its value is written as (npm run docs writes it)', () => {
    expect(goldenBytes(golden).toString('hex')).toBe(golden.bytes);
  });

  it('is read as its value', () => {
    const read =
      encoding === 'json' ? check(schema, JSON.parse(bytes.toString()), file) : decode(schema, bytes, file);
    expect(read).toEqual(value);
  });

  it('fits its JSON Schema, which refuses what the reader refuses', () => {
    const json = z.fromJSONSchema(wireSchema(golden.message) as Parameters<typeof z.fromJSONSchema>[0]);
    expect(json.safeParse(golden.value).error?.issues ?? []).toEqual([]);
    const variants = [...spoiled(golden.value)];
    expect(variants.length).toBeGreaterThan(0);
    for (const wrong of variants) {
      const isRead = schema.safeParse(fromGolden(wrong)).success;
      if (!isRead) expect([wrong, json.safeParse(wrong).success]).toEqual([wrong, false]);
    }
  });
});

it('has a golden message of every schema', () => {
  const shown = new Set(goldenFiles().map((file) => readGolden(file).message));
  expect([...shown].sort()).toEqual([...names].sort());
});
