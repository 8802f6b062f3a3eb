import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { weightsAnnouncementSchema } from '@forge/contracts';
import { parametersHash, type Parameters } from './parameters';
import { readVersion } from './read-version';
import { hashSafetensors } from './safetensors';
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
    const read = await readVersion(await store.publish(0, 1, version(0)));
    expect(parametersHash(read)).toBe(parametersHash(version(0)));
  });

  it('reads each version into memory of its own', async () => {
    const announcements = await Promise.all([0, 1, 2].map((v) => store.publish(v, 1, version(v))));
    const read = await Promise.all(announcements.map(readVersion));
    expect(read.map(parametersHash)).toEqual([0, 1, 2].map((v) => parametersHash(version(v))));
  });

  it.each(['BF16', 'F16'] as const)(
    'publishes rounded to %s, in half the bytes, and reads float32',
    async (dtype) => {
      const half = new WeightStore({ dir: path.join(dir, 'half'), keep: 2, format: { dtype } });
      const announcement = await half.publish(0, 1, version(1));
      expect(announcement.sha256).toBe(hashSafetensors(version(1), { dtype }));
      const [manifest] = await half.manifests();
      expect(manifest!.tensors).toMatchObject([{ dtype, sizeBytes: 10 }]);
      const rounded = dtype === 'BF16' ? 1.1015625 : 1.099609375;
      expect([...(await readVersion(announcement)).get('w')!.data]).toEqual(Array(5).fill(rounded));
    },
  );

  it('takes a larger version after a smaller one', async () => {
    for (const [v, count] of [4, 4, 4000, 40].entries()) {
      const read = await readVersion(await store.publish(v, 1, version(v, count)));
      expect(parametersHash(read)).toBe(parametersHash(version(v, count)));
    }
  });

  it('refuses a blob that was changed or cut, and leaves the last good read alone', async () => {
    const good = await readVersion(await store.publish(0, 1, version(0)));
    const bad = await store.publish(1, 1, version(1));
    const bytes = await readFile(bad.path);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(bad.path, bytes);
    const refusal = (message: string): object => ({
      code: 'CONTRACT_WEIGHTS_CORRUPT',
      message: expect.stringContaining(message),
    });
    await expect(readVersion(bad)).rejects.toMatchObject(refusal('found sha256'));
    await writeFile(bad.path, bytes.subarray(1));
    await expect(readVersion(bad)).rejects.toMatchObject(refusal(`announced ${bad.sizeBytes}`));
    expect(parametersHash(good)).toBe(parametersHash(version(0)));
  });

  it('collects all but the newest versions and those in use, leftovers of a dead writer too', async () => {
    const announcements = [];
    for (const v of [0, 1, 2, 9, 10]) announcements.push(await store.publish(v, 1, version(v)));
    await store.publish(10, 2, version(10));
    await writeFile(path.join(dir, 'store', 'v0-e1.123.tmp'), 'x');
    await writeFile(path.join(dir, 'store', `${'0'.repeat(64)}.safetensors`), 'no manifest names it');
    expect(await store.collect([1, 7])).toEqual(new Set([1, 9, 10]));
    const kept = [announcements[1]!, announcements[3]!, announcements[4]!];
    expect((await readdir(path.join(dir, 'store'))).sort()).toEqual(
      [
        ...kept.map(({ sha256 }) => `${sha256}.safetensors`),
        ...['v1-e1.json', 'v10-e1.json', 'v10-e2.json', 'v9-e1.json'],
      ].sort(),
    );
    await expect(readVersion(announcements[0]!)).rejects.toMatchObject({ code: 'STALE_WEIGHTS' });
  });

  it('describes what a version was made of and what lies where in its blob', async () => {
    const parent = await store.publish(0, 1, version(0));
    const origin = { parent: { version: 0, sha256: parent.sha256 }, trained: { step: 0, groups: [3, 5] } };
    const { sha256, sizeBytes, path: blob } = await store.publish(1, 1, version(1), origin);
    const [, manifest] = await store.manifests();
    expect(manifest).toMatchObject({ version: 1, epoch: 1, sha256, sizeBytes, ...origin });
    const [tensor] = manifest!.tensors;
    expect(tensor).toMatchObject({ name: 'w', dtype: 'F32', shape: [5], sizeBytes: 20 });
    const bytes = await readFile(blob);
    expect(tensor!.offset + 20).toBe(bytes.length);
    expect(bytes.readFloatLE(tensor!.offset)).toBeCloseTo(1.1, 6);
    expect(hashSafetensors(version(1))).toBe(sha256);
  });

  it('keeps one blob for versions of equal content, as long as one of them is kept', async () => {
    const [first, other] = [await store.publish(3, 1, version(3)), await store.publish(4, 1, version(4))];
    const again = await store.publish(5, 1, version(3));
    expect(again.path).toBe(first.path);
    expect(await store.collect()).toEqual(new Set([4, 5]));
    await readVersion(again);
    await store.publish(6, 1, version(6));
    expect(await store.collect()).toEqual(new Set([5, 6]));
    await readVersion(again);
    await expect(readVersion(other)).rejects.toMatchObject({ code: 'STALE_WEIGHTS' });
  });

  it('repairs a damaged blob when its version is published again', async () => {
    const announcement = await store.publish(1, 1, version(1));
    await writeFile(announcement.path, 'damaged');
    await expect(readVersion(announcement)).rejects.toMatchObject({ code: 'CONTRACT_WEIGHTS_CORRUPT' });
    expect(await store.publish(1, 2, version(1))).toEqual({ ...announcement, epoch: 2 });
    expect(parametersHash(await readVersion(announcement))).toBe(parametersHash(version(1)));
  });

  it('deletes no blob while a manifest that is kept can not be read', async () => {
    const announcements = [];
    for (const v of [0, 1, 2]) announcements.push(await store.publish(v, 1, version(v)));
    await writeFile(path.join(dir, 'store', 'v2-e1.json'), '{');
    await expect(store.manifests()).rejects.toMatchObject({ code: 'CONTRACT_WEIGHTS_CORRUPT' });
    await store.collect();
    for (const announcement of announcements) await readVersion(announcement);
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
