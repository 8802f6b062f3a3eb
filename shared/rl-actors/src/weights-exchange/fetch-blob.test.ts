import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ForgeError } from '@forge/errors';
import { fetchBlob, type BlobHolder } from './fetch-blob';

let dir: string;
beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'forge-fetch-'))));
afterEach(() => rm(dir, { recursive: true }));

const bytes = Buffer.from(Array.from({ length: 40 }, (_, i) => i));
const sha256 = createHash('sha256').update(bytes).digest('hex');
const blob = { version: 3, sha256, sizeBytes: bytes.length };
const lost = new ForgeError('TRANSIENT_REPLICA_LOST', 'it was lost');
const full = new ForgeError('CAPACITY_QUEUE_FULL', '2 hosts read here');

interface Asked {
  name: string;
  offset: number;
}

/** Holders by name, each giving pieces of ten bytes of `content` until it has given `until`, and then failing. */
function holders(
  asked: Asked[],
  given: Record<string, { content?: Buffer; until?: number; error?: ForgeError | null }>,
): BlobHolder[] {
  return Object.entries(given).map(([name, { content = bytes, until = Infinity, error = null }]) => ({
    name,
    read: async function* (hash, offset) {
      asked.push({ name, offset });
      expect(hash).toBe(sha256);
      for (let at = offset; at < Math.min(until, content.length); at += 10)
        yield content.subarray(at, at + 10);
      if (error !== null) throw await Promise.resolve(error);
    },
  }));
}

async function fetched(found: () => BlobHolder[]): Promise<{ said: string[]; error: unknown }> {
  const said: string[] = [];
  const path = join(dir, 'b');
  const options = {
    holders: () => Promise.resolve(found()),
    say: (message: string) => void said.push(message),
  };
  const error: unknown = await fetchBlob(path, blob, options).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error === null) expect(await readFile(path)).toEqual(bytes);
  return { said, error };
}

describe('fetchBlob', () => {
  it('goes on with another holder where one was lost', async () => {
    const asked: Asked[] = [];
    const found = holders(asked, { a: { until: 20, error: lost }, b: {} });
    let looks = 0;
    const { error } = await fetched(() => (looks++ === 0 ? found : found.slice(1)));
    expect(error).toBeNull();
    expect(asked).toEqual([
      { name: 'a', offset: 0 },
      { name: 'b', offset: 20 },
    ]);
    expect(await readdir(dir)).toEqual(['b']);
  });

  it('goes on from what an earlier attempt has left, also after nobody was there', async () => {
    const asked: Asked[] = [];
    const { error } = await fetched(() =>
      asked.length === 0 ? holders(asked, { a: { until: 30, error: lost } }) : [],
    );
    expect(error).toMatchObject({ code: 'STALE_WEIGHTS', details: { version: 3 } });
    expect(await readdir(dir)).toEqual(['b.part']);
    expect((await fetched(() => holders(asked, { a: {} }))).error).toBeNull();
    expect(asked).toEqual([
      { name: 'a', offset: 0 },
      { name: 'a', offset: 30 },
    ]);
  });

  it('refuses bytes of another hash, and takes them from a holder that gave none of them', async () => {
    const asked: Asked[] = [];
    const content = Buffer.from(bytes).fill(9, 25, 26);
    const { said, error } = await fetched(() => holders(asked, { a: { content }, b: {} }));
    expect(error).toBeNull();
    expect(asked.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(said).toEqual([`the bytes that a gave are not ${sha256}`]);
  });

  it('fails when all that is given has another hash, and leaves nothing', async () => {
    const content = Buffer.from(bytes).fill(9, 25, 26);
    const { error } = await fetched(() => holders([], { a: { content } }));
    expect(error).toMatchObject({
      code: 'CONTRACT_WEIGHTS_CORRUPT',
      message: expect.stringContaining('what a gave is not'),
    });
    expect(await readdir(dir)).not.toContain('b');
  });

  it('starts anew when what was left is damaged', async () => {
    await writeFile(join(dir, 'b.part'), Buffer.alloc(15, 7));
    const asked: Asked[] = [];
    const { said, error } = await fetched(() => holders(asked, { a: {} }));
    // The holder completed what was damaged: nobody can tell which bytes are wrong.
    expect(said[0]).toMatch('the bytes that a gave are not');
    expect(error).toMatchObject({ code: 'CONTRACT_WEIGHTS_CORRUPT' });
    expect((await fetched(() => holders(asked, { a: {} }))).error).toBeNull();
  });

  it('waits while all holders give to as many as they can', async () => {
    const asked: Asked[] = [];
    const busy = holders(asked, { a: { until: 0, error: full } });
    let looks = 0;
    const { error } = await fetched(() => (looks++ < 2 ? busy : holders(asked, { a: {} })));
    expect(error).toBeNull();
    expect(asked).toHaveLength(3);
  });

  it.each([
    ['more', Buffer.alloc(60), 'CONTRACT_WEIGHTS_CORRUPT'],
    ['less', bytes.subarray(0, 30), 'STALE_WEIGHTS'],
  ])('takes no blob of which a holder has %s', async (_, content, code) => {
    const { error } = await fetched(() => holders([], { a: { content } }));
    expect(error).toMatchObject({ code });
  });

  it('says how others come to give weights when nobody does', async () => {
    const { error } = await fetched(() => []);
    expect(error).toMatchObject({
      code: 'STALE_WEIGHTS',
      message:
        'version 3 is not on this host, and no other host gives it: mount the run directory of the trainer, or start it with FORGE_CALL_ADDRESS=tcp://INTERFACE:PORT or tls://INTERFACE:PORT',
    });
  });
});
