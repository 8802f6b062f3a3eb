import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serveActor, streamFrom, thisProc, type DeployedActor } from '@forge/actors';
import { waitFor } from '@forge/testing';
import { fetchBlob, type BlobHolder } from './fetch-blob';
import { WeightsShelf } from './weights-shelf';

const dir = mkdtempSync(join(tmpdir(), 'forge-shelf-'));
const content = randomBytes(40 << 20);
const sha256 = createHash('sha256').update(content).digest('hex');
beforeAll(() => writeFile(join(dir, `${sha256}.safetensors`), content));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const clock = { now: 0 };
const readers: number[] = [];

async function shelf(): Promise<DeployedActor> {
  readers.length = 0;
  const onReaders = (count: number): void => void readers.push(count);
  const actor = await thisProc().spawn('weights', WeightsShelf, { dir, onReaders, clock: () => clock.now });
  return serveActor(actor, 'inproc');
}

const read = (at: DeployedActor, hash = sha256, offset = 0): AsyncGenerator<unknown> =>
  streamFrom(at, 'read', [hash, offset]);

async function all(pieces: AsyncIterable<unknown>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece as Uint8Array);
  return Buffer.concat(parts);
}

describe('WeightsShelf', () => {
  it('gives a blob from any byte on', async () => {
    const at = await shelf();
    expect((await all(read(at))).equals(content)).toBe(true);
    expect((await all(read(at, sha256, 5_000_001))).equals(content.subarray(5_000_001))).toBe(true);
    expect(readers).toEqual([1, 0, 1, 0]);
  });

  it('gives to two at a time, and to a third when one of them takes nothing any more', async () => {
    const at = await shelf();
    const two = [read(at), read(at)];
    await Promise.all(two.map((pieces) => pieces.next()));
    await expect(read(at).next()).rejects.toMatchObject({ code: 'CAPACITY_QUEUE_FULL' });
    // Pieces on their way to the first two are taken yet.
    const third = await waitFor('a place', async () => {
      clock.now += 6_000;
      const pieces = read(at);
      return pieces.next().then(
        () => pieces,
        () => null,
      );
    });
    await Promise.all([...two, third].map((pieces) => pieces.return(undefined)));
    await waitFor('nobody to read', () => readers.at(-1) === 0);
    expect((await all(read(at))).equals(content)).toBe(true);
  });

  it('gives blobs of its directory only', async () => {
    const at = await shelf();
    await expect(read(at, '0'.repeat(64)).next()).rejects.toMatchObject({ code: 'STALE_WEIGHTS' });
    for (const hash of ['../secret', `${'0'.repeat(60)}/../a`, sha256.toUpperCase(), 7 as never])
      await expect(read(at, hash).next()).rejects.toMatchObject({ code: 'CONTRACT_INVALID_MESSAGE' });
    await expect(read(at, sha256, -1).next()).rejects.toMatchObject({ code: 'CONTRACT_INVALID_MESSAGE' });
  });
});

describe('a fetch from processes', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  it('loses nothing when one that gives is killed in the middle', async () => {
    const start = async (): Promise<{ child: ChildProcess; at: DeployedActor }> => {
      const compiled = join(__dirname, '../../dist/weights-exchange/shelf.fixture.js');
      const child = fork(compiled, [dir]);
      children.push(child);
      return { child, at: (await once(child, 'message'))[0] as DeployedActor };
    };
    const givers = await Promise.all([start(), start()]);
    const given = [0, 0];
    const offsets: number[] = [];
    const holders = givers.map(({ child, at }, i): BlobHolder => ({
      name: `host-${i}`,
      read: async function* (hash, offset) {
        offsets.push(offset);
        for await (const piece of read(at, hash, offset)) {
          given[i]! += (piece as Uint8Array).length;
          if (i === 0 && given[0]! >= 10 << 20) child.kill('SIGKILL');
          yield piece;
        }
      },
    }));
    const path = join(dir, 'copy');
    const blob = { version: 1, sha256, sizeBytes: content.length };
    await fetchBlob(path, blob, { holders: () => Promise.resolve(holders), say: () => undefined });
    expect((await readFile(path)).equals(content)).toBe(true);
    expect(given[0]! + given[1]!).toBe(content.length);
    expect(given[0]).toBeGreaterThanOrEqual(10 << 20);
    expect(given[1]).toBeGreaterThan(0);
    // The first, the dead one that is still listed, and the second.
    expect(offsets).toEqual([0, given[0], given[0]]);
  });
});
