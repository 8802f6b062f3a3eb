import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encode, type Batch, type Group } from '@forge/contracts';
import { recordedStepSchema, seal, unseal } from './record-file';
import { Recorder } from './recorder';
import { TrainingRecord } from './training-record';

const root = mkdtempSync(join(tmpdir(), 'forge-record-'));
afterAll(() => {
  rmSync(root, { recursive: true });
});

const hash = (digit: number): string => String(digit).repeat(64);
const batch = (version: number): Batch => ({
  schemaVersion: 4,
  version,
  groups: [{ index: 2 * version, advantages: [1, -1] }],
  statistics: { 'reward/mean': 0.5 },
});
const payload = (step: number): Buffer => encode({ index: 2 * step } satisfies Partial<Group>);
const trainer = { model: 'model', steps: 3, temperature: 1 } as Parameters<Recorder['base']>[0];

let records = 0;
/** The record of a run of `steps` steps. */
async function recorded(steps: number, runId = 'run'): Promise<{ dir: string; recorder: Recorder }> {
  const dir = join(root, String(records++));
  const recorder = await Recorder.open(dir, runId, 0, 1);
  await recorder.base(trainer, hash(0));
  for (let step = 0; step < steps; step++) await recorder.step(batch(step), [payload(step)], hash(step + 1));
  return { dir, recorder };
}
const files = (dir: string): Record<string, string> =>
  Object.fromEntries(readdirSync(dir).map((name) => [name, readFileSync(join(dir, name), 'hex')]));

describe('Recorder', () => {
  it('writes the same files when a step is done again', async () => {
    const { dir, recorder } = await recorded(2);
    const before = files(dir);
    expect(Object.keys(before).sort()).toEqual(['base.msgpack', 'step-1.1.msgpack', 'step-2.1.msgpack']);
    await recorder.step(batch(1), [payload(1)], hash(2));
    expect(files(dir)).toEqual(before);
  });

  it('drops what was not committed and what is half-written when another trainer takes over', async () => {
    const { dir } = await recorded(3);
    writeFileSync(join(dir, 'step-4.1.msgpack.1.tmp'), 'half');
    await Recorder.open(dir, 'run', 1, 2);
    expect(readdirSync(dir).sort()).toEqual(['base.msgpack', 'step-1.1.msgpack']);
  });

  it('leaves alone what its successor writes, whose step counts', async () => {
    const { dir, recorder: replaced } = await recorded(1);
    const successor = await Recorder.open(dir, 'run', 1, 2);
    await successor.step(batch(1), [payload(1)], hash(0), 0);
    writeFileSync(join(dir, 'step-3.2.msgpack.2.tmp'), 'half');
    const before = files(dir);
    await replaced.step(batch(1), [payload(1)], hash(2));
    // One that was stopped for long in the middle of taking over.
    await Recorder.open(dir, 'run', 0, 1);
    expect(files(dir)).toEqual(expect.objectContaining(before));
    expect(await (await TrainingRecord.open(dir)).step(2)).toMatchObject({
      rolledBackTo: 0,
      weightsHash: hash(0),
    });
  });
});

describe('TrainingRecord', () => {
  it('gives back what was recorded, to the byte', async () => {
    const { dir } = await recorded(2);
    const record = await TrainingRecord.open(dir);
    expect(record).toMatchObject({ lastVersion: 2, base: { runId: 'run', weightsHash: hash(0) } });
    expect(record.base.trainer).toMatchObject({ model: 'model', steps: 3, algorithm: { name: 'grpo' } });
    const step = await record.step(2);
    expect(step).toMatchObject({ batch: batch(1), weightsHash: hash(2) });
    expect(step.payloads.map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual([
      payload(1).toString('hex'),
    ]);
  });

  const broken = async (change: (dir: string) => void): Promise<unknown> => {
    const { dir } = await recorded(2);
    change(dir);
    return TrainingRecord.open(dir)
      .then(async (record) => [await record.step(1), await record.step(2)])
      .catch((error: unknown) => error);
  };
  const refused = (words: string) => ({
    code: 'CONFIG_FILE_UNREADABLE',
    message: expect.stringContaining(words) as string,
  });

  it('refuses a record that is missing, or lacks a file', async () => {
    expect(await broken((dir) => rmSync(dir, { recursive: true }))).toMatchObject(
      refused('started with --record'),
    );
    for (const [name, words] of [
      ['base.msgpack', 'base.msgpack: missing'],
      ['step-1.1.msgpack', 'makes version 1 is missing'],
    ] as const)
      expect(await broken((dir) => rmSync(join(dir, name)))).toMatchObject(refused(words));
  });

  it('refuses a file of another run, another step or another schema', async () => {
    const { dir: other } = await recorded(2, 'other');
    const swap = (from: string) => (dir: string) => {
      writeFileSync(join(dir, 'step-2.1.msgpack'), readFileSync(join(from || dir, 'step-1.1.msgpack')));
    };
    expect(await broken(swap(''))).toMatchObject(
      refused('found batch 0 of run run, expected batch 1 of run run'),
    );
    expect(await broken(swap(other))).toMatchObject(refused('found batch 0 of run other'));
    const newer = encode({ schemaVersion: 3, sha256: hash(0), content: Buffer.alloc(1) });
    expect(await broken((dir) => writeFileSync(join(dir, 'base.msgpack'), newer))).toMatchObject(
      refused('schemaVersion'),
    );
    expect(
      await broken((dir) =>
        writeFileSync(
          join(dir, 'base.msgpack'),
          seal({ runId: 'run', batch: batch(0), payloads: [], rolledBackTo: null, weightsHash: hash(1) }),
        ),
      ),
    ).toMatchObject(refused('trainer'));
  });

  it('gives back a step of any size', () => {
    const large = Buffer.alloc(36 * 2 ** 20, 7);
    const step = {
      runId: 'run',
      batch: batch(0),
      payloads: [large, large],
      rolledBackTo: null,
      weightsHash: hash(1),
    };
    const { payloads } = unseal(recordedStepSchema, seal(step), 'step-1.1.msgpack');
    expect(payloads.map((bytes) => large.equals(bytes))).toEqual([true, true]);
  });

  it('refuses a file cut anywhere, or with any bit flipped', () => {
    const whole = seal({
      runId: 'run',
      batch: batch(0),
      payloads: [payload(0)],
      rolledBackTo: null,
      weightsHash: hash(1),
    });
    const read = (bytes: Uint8Array): unknown => unseal(recordedStepSchema, bytes, 'step-1.1.msgpack');
    expect(read(whole)).toMatchObject({ weightsHash: hash(1) });
    for (let length = 0; length < whole.length; length++)
      expect(() => read(whole.subarray(0, length))).toThrow('the file is damaged');
    for (let bit = 0; bit < 8 * whole.length; bit++) {
      const flipped = Buffer.from(whole);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => read(flipped)).toThrow('the file is damaged');
    }
  });
});
