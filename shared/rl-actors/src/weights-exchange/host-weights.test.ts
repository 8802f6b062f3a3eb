import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WeightsAnnouncement } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { HostWeights, type HostWeightsOptions } from './host-weights';

let dir: string;
beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'forge-host-'))));
afterEach(() => rm(dir, { recursive: true }));

const content = (version: number): Buffer => Buffer.alloc(100, version);
const hashOf = (version: number): string => createHash('sha256').update(content(version)).digest('hex');
const announcement = (version: number): WeightsAnnouncement => ({
  ...{ schemaVersion: 1, version, epoch: 1, sizeBytes: 100, sha256: hashOf(version) },
  path: join(dir, 'elsewhere', `${version}`),
});

/** The weights of a host whose trainer is another; `reads` has the version of each blob that was fetched. */
function host(inUse: number[] = []) {
  const reads: number[] = [];
  const held: number[][] = [];
  const versionOf = (hash: string): number => [1, 2, 3, 4, 5, 6].find((version) => hashOf(version) === hash)!;
  const options: HostWeightsOptions = {
    dir: join(dir, 'fetched'),
    holders: () =>
      Promise.resolve([
        {
          name: 'trainer/0',
          read: async function* (hash: string) {
            reads.push(versionOf(hash));
            yield await Promise.resolve(content(versionOf(hash)));
          },
        },
      ]),
    inUse: () => Promise.resolve(new Set(inUse.map(hashOf))),
    onHeld: (hashes) => Promise.resolve(void held.push(hashes.map(versionOf).sort())),
    say: () => undefined,
  };
  return { weights: new HostWeights(options), options, reads, held };
}

const bytesAt = ({ path }: WeightsAnnouncement): Promise<Buffer> => readFile(path);

describe('HostWeights', () => {
  it('reads from the disk of the trainer where that is its own', async () => {
    const { weights, reads, held } = host();
    const path = join(dir, 'own');
    await writeFile(path, 'here');
    expect(String(await weights.use({ ...announcement(1), path }, bytesAt))).toBe('here');
    expect([reads, held]).toEqual([[], []]);
  });

  it('fetches a version once for all processes of a host', async () => {
    const { weights, options, reads } = host();
    const other = new HostWeights(options);
    const both = await Promise.all([weights, other].map((one) => one.use(announcement(1), bytesAt)));
    expect(both).toEqual([content(1), content(1)]);
    expect(reads).toEqual([1]);
  });

  it('fetches again what the disk of the host has damaged', async () => {
    const { weights, reads } = host();
    await weights.use(announcement(1), ({ path }) => writeFile(path, 'damaged'));
    const read = await weights.use(announcement(1), async (there) => {
      const bytes = await bytesAt(there);
      if (bytes.length !== 100) throw new ForgeError('CONTRACT_WEIGHTS_CORRUPT', 'it is damaged');
      return bytes;
    });
    expect(read).toEqual(content(1));
    expect(reads).toEqual([1, 1]);
  });

  it('passes on what is wrong with a blob that was fetched twice', async () => {
    const { weights, reads } = host();
    const fails = (): Promise<never> =>
      Promise.reject(new ForgeError('CONTRACT_WEIGHTS_CORRUPT', 'it is damaged'));
    await expect(weights.use(announcement(1), fails)).rejects.toMatchObject({
      code: 'CONTRACT_WEIGHTS_CORRUPT',
    });
    expect(reads).toEqual([1, 1]);
  });

  it('keeps the two newest and what live policies use, and tells what it has', async () => {
    const { weights, options, held } = host([2]);
    await weights.use(announcement(1), bytesAt);
    await writeFile(join(options.dir, `${hashOf(6)}.safetensors.part`), 'the rest of a dead fetch');
    for (const version of [2, 3, 4, 5]) await weights.use(announcement(version), bytesAt);
    const left = [2, 4, 5].map((version) => `${hashOf(version)}.safetensors`);
    expect((await readdir(options.dir)).sort()).toEqual(left.sort());
    expect(held.at(-1)).toEqual([2, 4, 5]);
  });

  it('tells what an earlier process has left', async () => {
    const { weights, options, held } = host();
    await weights.use(announcement(1), bytesAt);
    held.length = 0;
    await new HostWeights(options).begin();
    expect(held).toEqual([[1]]);
  });
});
