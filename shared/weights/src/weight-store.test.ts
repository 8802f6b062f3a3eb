import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { weightsAnnouncementSchema } from '@forge/contracts';
import { parametersHash, type Parameters } from './parameters';
import { WeightStore } from './weight-store';

let dir: string;
let store: WeightStore;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'forge-weights-'));
  store = new WeightStore({ dir: path.join(dir, 'store'), keep: 2 });
});
afterEach(() => rm(dir, { recursive: true }));

const version = (v: number, count = 5): Parameters =>
  new Map([['w', { shape: [count], data: new Float32Array(count).fill(v + 0.1) }]]);

describe('WeightStore', () => {
  it('describes a published blob by its size and checksum', async () => {
    const announcement = weightsAnnouncementSchema.parse(await store.publish(3, 1, version(3)));
    const bytes = await readFile(announcement.path);
    expect(announcement).toMatchObject({ version: 3, epoch: 1, sizeBytes: bytes.length });
    expect(announcement.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
  });

  it('reads what was published, bit for bit', async () => {
    const read = await store.read(await store.publish(0, 1, version(0)));
    expect(parametersHash(read)).toBe(parametersHash(version(0)));
  });

  it('keeps the last read valid through one more, in two buffers', async () => {
    const announcements = await Promise.all([0, 1, 2].map((v) => store.publish(v, 1, version(v))));
    const [first, second, third] = await Promise.all(announcements.map((a) => store.read(a)));
    expect(parametersHash(second!)).toBe(parametersHash(version(1)));
    expect(parametersHash(third!)).toBe(parametersHash(version(2)));
    expect(first!.get('w')!.data.buffer).toBe(third!.get('w')!.data.buffer);
  });

  it('takes a larger version after a smaller one', async () => {
    for (const [v, count] of [4, 4, 4000, 40].entries()) {
      const read = await store.read(await store.publish(v, 1, version(v, count)));
      expect(parametersHash(read)).toBe(parametersHash(version(v, count)));
    }
  });

  it('refuses a blob that was changed or cut, and leaves the last good read alone', async () => {
    const good = await store.read(await store.publish(0, 1, version(0)));
    const bad = await store.publish(1, 1, version(1));
    const bytes = await readFile(bad.path);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(bad.path, bytes);
    const refusal = (message: string): object => ({
      code: 'CONTRACT_WEIGHTS_CORRUPT',
      message: expect.stringContaining(message),
    });
    await expect(store.read(bad)).rejects.toMatchObject(refusal('found sha256'));
    await writeFile(bad.path, bytes.subarray(1));
    await expect(store.read(bad)).rejects.toMatchObject(refusal(`announced ${bad.sizeBytes}`));
    expect(parametersHash(good)).toBe(parametersHash(version(0)));
  });

  it('collects all but the newest versions, leftovers of a dead writer too', async () => {
    const announcements = [];
    for (const v of [0, 9, 10]) announcements.push(await store.publish(v, 1, version(v)));
    await store.publish(10, 2, version(10));
    await writeFile(path.join(dir, 'store', 'v1-e1.safetensors.123.tmp'), 'x');
    await store.collect();
    expect((await readdir(path.join(dir, 'store'))).sort()).toEqual([
      'v10-e1.safetensors',
      'v10-e2.safetensors',
      'v9-e1.safetensors',
    ]);
    await expect(store.read(announcements[0]!)).rejects.toMatchObject({ code: 'STALE_WEIGHTS' });
  });
});

describe('parametersHash', () => {
  it('depends on names, shapes and bits, not on order', () => {
    const data = Float32Array.of(0, 1);
    const make = (...entries: [string, number[], Float32Array][]): string =>
      parametersHash(new Map(entries.map(([name, shape, values]) => [name, { shape, data: values }])));
    const base = make(['a', [2], data], ['b', [2], data]);
    expect(make(['b', [2], data], ['a', [2], data])).toBe(base);
    expect(make(['a', [1, 2], data], ['b', [2], data])).not.toBe(base);
    expect(make(['a', [2], Float32Array.of(-0, 1)], ['b', [2], data])).not.toBe(base);
    expect(make(['a', [2], data], ['c', [2], data])).not.toBe(base);
  });
});
